"""Populations of implicit neural representations: one SIREN a picture."""

from nfn_cli.zoo.inr.labels import InrRow, read_inr_rows
from nfn_cli.zoo.inr.published import InrImportReport, InrSelection, import_sirens
from nfn_cli.zoo.inr.read import read_inrs
from nfn_cli.zoo.inr.siren import Siren
from nfn_cli.zoo.inr.siren_recipe import InrSettings

__all__ = [
    "InrImportReport",
    "InrRow",
    "InrSelection",
    "InrSettings",
    "Siren",
    "import_sirens",
    "read_inr_rows",
    "read_inrs",
]
