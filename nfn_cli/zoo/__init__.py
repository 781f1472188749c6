"""Populations of networks: the Small CNN Zoo's recipe, trained many networks at once, and published zoos.

>>> from nfn_cli.zoo import draw_hyperparameters
>>> draw_hyperparameters(seed=0, run=0, activation="tanh").train_fraction
0.1
"""

from nfn_cli.zoo.generate import ZooReport, generate_zoo
from nfn_cli.zoo.hyperparameters import Hyperparameters, draw_hyperparameters
from nfn_cli.zoo.images import ImageSet, load_images
from nfn_cli.zoo.inr import (
    InrImportReport,
    InrReport,
    InrRow,
    InrSelection,
    InrSettings,
    Siren,
    generate_inrs,
    import_sirens,
    read_inrs,
)
from nfn_cli.zoo.labels import LABELS_FILE, Label, read_labels
from nfn_cli.zoo.networks import LabelledNetworks, read_networks, read_unlabelled
from nfn_cli.zoo.published import ImportReport, Selection, import_model_zoo, import_small_cnn_zoo
from nfn_cli.zoo.published.small_cnn_zoo import SMALL_CNN_ZOO
from nfn_cli.zoo.record import SETTINGS_FILE, ZooSettings, read_record, recipe_of

__all__ = [
    "LABELS_FILE",
    "SETTINGS_FILE",
    "SMALL_CNN_ZOO",
    "Hyperparameters",
    "ImageSet",
    "ImportReport",
    "InrImportReport",
    "InrReport",
    "InrRow",
    "InrSelection",
    "InrSettings",
    "Label",
    "LabelledNetworks",
    "Selection",
    "Siren",
    "ZooReport",
    "ZooSettings",
    "draw_hyperparameters",
    "generate_inrs",
    "generate_zoo",
    "import_model_zoo",
    "import_sirens",
    "import_small_cnn_zoo",
    "load_images",
    "read_inrs",
    "read_labels",
    "read_networks",
    "read_record",
    "read_unlabelled",
    "recipe_of",
]
