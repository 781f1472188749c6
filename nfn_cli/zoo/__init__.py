"""Populations of networks: small CNNs and SIRENs, trained many at once, and published zoos.

>>> from nfn_cli.zoo import draw_hyperparameters
>>> draw_hyperparameters(seed=0, run=0, activation="tanh").train_fraction
0.1
"""

from nfn_cli.zoo.between_recipe import BetweenSettings
from nfn_cli.zoo.generate import ZooReport, generate_zoo
from nfn_cli.zoo.hyperparameters import Hyperparameters, draw_hyperparameters
from nfn_cli.zoo.images import ImageSet, load_images
from nfn_cli.zoo.inr.labels import InrRow, read_inr_rows
from nfn_cli.zoo.inr.published.import_sirens import InrImportReport, import_sirens
from nfn_cli.zoo.inr.published.siren_selection import InrSelection
from nfn_cli.zoo.inr.read import read_inrs
from nfn_cli.zoo.inr.siren import Siren
from nfn_cli.zoo.inr.siren_recipe import InrSettings
from nfn_cli.zoo.joined import join_networks
from nfn_cli.zoo.labels import LABELS_FILE, Label, read_labels
from nfn_cli.zoo.networks import LabelledNetworks, read_networks, read_unlabelled
from nfn_cli.zoo.published.imported_network import ImportReport
from nfn_cli.zoo.published.model_zoo import import_model_zoo
from nfn_cli.zoo.published.run_selection import Selection
from nfn_cli.zoo.published.small_cnn_zoo import SMALL_CNN_ZOO, import_small_cnn_zoo
from nfn_cli.zoo.record import SETTINGS_FILE, read_record, recipe_of
from nfn_cli.zoo.small_cnn_recipe import ZooSettings
from nfn_cli.zoo.wild.wild_recipe import WildSettings

__all__ = [
    "LABELS_FILE",
    "SETTINGS_FILE",
    "SMALL_CNN_ZOO",
    "BetweenSettings",
    "Hyperparameters",
    "ImageSet",
    "ImportReport",
    "InrImportReport",
    "InrRow",
    "InrSelection",
    "InrSettings",
    "Label",
    "LabelledNetworks",
    "Selection",
    "Siren",
    "WildSettings",
    "ZooReport",
    "ZooSettings",
    "draw_hyperparameters",
    "generate_zoo",
    "import_model_zoo",
    "import_sirens",
    "import_small_cnn_zoo",
    "join_networks",
    "load_images",
    "read_inr_rows",
    "read_inrs",
    "read_labels",
    "read_networks",
    "read_record",
    "read_unlabelled",
    "recipe_of",
]
