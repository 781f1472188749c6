"""Populations of implicit neural representations: one SIREN a picture."""

from nfn_cli.zoo.inr.generate import InrReport, generate_inrs
from nfn_cli.zoo.inr.labels import InrRow, read_inr_rows
from nfn_cli.zoo.inr.published import InrImportReport, InrSelection, import_sirens
from nfn_cli.zoo.inr.read import read_inrs
from nfn_cli.zoo.inr.record import RECIPE, InrSettings
from nfn_cli.zoo.inr.siren import Siren

__all__ = [
    "RECIPE",
    "InrImportReport",
    "InrReport",
    "InrRow",
    "InrSelection",
    "InrSettings",
    "Siren",
    "generate_inrs",
    "import_sirens",
    "read_inr_rows",
    "read_inrs",
]
