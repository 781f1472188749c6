"""Reference modules of known families: plain torch modules with a library's names and forward pass, built from
`config.json` or from names and shapes. Nothing of the library is imported, and nothing that a file names is executed.
"""

from nfn_cli.architectures.families.family import Config, Family, ReferenceModule, Shapes
from nfn_cli.architectures.families.fields import differing_field
from nfn_cli.architectures.families.recognise import Unknown, recognise, recognised
from nfn_cli.architectures.families.registry import FAMILIES

__all__ = [
    "FAMILIES",
    "Config",
    "Family",
    "ReferenceModule",
    "Shapes",
    "Unknown",
    "differing_field",
    "recognise",
    "recognised",
]
