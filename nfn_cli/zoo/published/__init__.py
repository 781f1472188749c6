"""Published zoos in their own formats, written as packed zoos for `read_networks`.

>>> from nfn_cli.zoo.published import Selection
>>> Selection(activation="relu", epochs=(86,)).last
False
"""

from nfn_cli.zoo.published.imported_network import ImportedNetwork, ImportedRun, ImportReport
from nfn_cli.zoo.published.model_zoo import import_model_zoo
from nfn_cli.zoo.published.run_selection import Selection
from nfn_cli.zoo.published.small_cnn_zoo import import_small_cnn_zoo

__all__ = [
    "ImportReport",
    "ImportedNetwork",
    "ImportedRun",
    "Selection",
    "import_model_zoo",
    "import_small_cnn_zoo",
]
