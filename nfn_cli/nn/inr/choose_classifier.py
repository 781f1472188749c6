"""Find a head that classifies implicit neural representations, by name or folder."""

from __future__ import annotations

from nfn_cli.nn.choose import head_folder, shipped_for
from nfn_cli.nn.inr.classifier import (
    CLASSIFY,
    Classifier,
    ClassifierConfig,
    read_classifier,
    read_classifier_config,
)
from nfn_cli.shipped import models_folder


def load_classifier(name: str, device: str = "cpu") -> Classifier:
    """Load a shipped head that classifies INRs by name, or any such head by folder.

    Raises:
        HeadError: it does not exist, cannot be read, or is for something else.
    """
    return read_classifier(head_folder(name), device)


def load_classifier_config(name: str) -> ClassifierConfig:
    """The configuration of a shipped head that classifies INRs by name, or of one in a folder.

    Raises:
        HeadError: it does not exist, cannot be read, or is for something else.
    """
    return read_classifier_config(head_folder(name))


def shipped_classifiers() -> dict[str, ClassifierConfig]:
    """The configuration of every shipped head that classifies INRs, by name; those that are right most often first."""
    configs = {name: read_classifier_config(models_folder() / name, own) for name, own in shipped_for(CLASSIFY).items()}
    return dict(sorted(configs.items(), key=lambda item: item[1].kind.rank))
