"""The networks of a zoo of INRs: some to fit to, some to validate, and the test networks, also moved."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch

from nfn_cli.architectures import NetworkWeights
from nfn_cli.errors import DataError
from nfn_cli.symmetry import act, sample_element
from nfn_cli.zoo import LabelledNetworks, read_inrs

_ELEMENT_SEED = 1
_FEWEST = 20
# A validating picture for so many training pictures.
_VALIDATING = 10


@dataclass(frozen=True)
class Parts:
    """What all methods are shown.

    Attributes:
        moved: the test networks after random elements, float64.
        fingerprint: sixteen hexadecimal digits that tell these networks and classes from any others.
    """

    train: LabelledNetworks
    validation: LabelledNetworks
    test: LabelledNetworks
    moved: NetworkWeights
    fingerprint: str

    @property
    def classes(self) -> int:
        """How many there are."""
        return 1 + max(int(part.targets.max()) for part in (self.train, self.validation, self.test))


def read_parts(folder: Path, pictures: int) -> Parts:
    """Read a zoo; the first `pictures` training pictures are to be fitted to, the next to validate.

    Raises:
        DataError: unreadable or too small.
    """
    networks = read_inrs(folder)
    training, test = networks.part("train"), networks.part("test")
    order = {run: place for place, run in enumerate(dict.fromkeys(training.runs))}
    pictures = min(pictures, len(order) - len(order) // (_VALIDATING + 1))
    last = pictures + max(1, pictures // _VALIDATING)
    places = [order[run] for run in training.runs]
    train = training.select([i for i, place in enumerate(places) if place < pictures])
    validation = training.select([i for i, place in enumerate(places) if pictures <= place < last])
    if min(len(train), len(test)) < _FEWEST or not len(validation):
        cause = f"{len(train)} training, {len(validation)} validating and {len(test)} test networks are too few"
        raise DataError(folder, cause, "give a larger zoo, with --test-count")
    return Parts(train, validation, test, moved(test.point), _fingerprint(train, validation, test))


def moved(point: NetworkWeights) -> NetworkWeights:
    """Every network after a random element: permutations, signs and phases; float64, so that none is rounded."""
    wide = NetworkWeights(point.architecture, {name: tensor.double() for name, tensor in point.tensors.items()})
    generator = torch.Generator().manual_seed(_ELEMENT_SEED)
    count = len(next(iter(point.tensors.values())))
    return act(sample_element(point.architecture, generator, batch=(count,), phase=True), wide)


def _fingerprint(*parts: LabelledNetworks) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(repr(part.runs).encode())
        for tensor in (part.targets, *part.point.tensors.values()):
            digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
