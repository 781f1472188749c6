"""Published sets of SIRENs in their own layouts, written as packed zoos for `read_inrs`."""

from nfn_cli.zoo.inr.published.import_sirens import InrImportReport, import_sirens
from nfn_cli.zoo.inr.published.siren_selection import InrSelection

__all__ = ["InrImportReport", "InrSelection", "import_sirens"]
