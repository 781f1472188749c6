"""Write imported INRs as a packed zoo, as `nfn zoo inr --packed` does."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nfn_cli.architectures import NetworkWeights, stack
from nfn_cli.zoo.inr.labels import InrRow, write_inr_rows
from nfn_cli.zoo.inr.published.found import PublishedInr
from nfn_cli.zoo.published.folder import MOST_NETWORKS, PartFolder

_MOST_NUMBERS = 1 << 24


class InrParts(PartFolder):
    """Networks of one architecture, taken as they come. No more than a part's worth waits in memory.

    Args:
        folder: as in `PartFolder`.
        classes: numbers of the published labels.
    """

    def __init__(self, folder: Path, classes: Mapping[str, int]) -> None:
        super().__init__(folder)
        self._classes = classes
        self._rows: list[InrRow] = []
        self._waiting: list[tuple[NetworkWeights, PublishedInr]] = []

    def __len__(self) -> int:
        """Networks taken so far."""
        return len(self._rows) + len(self._waiting)

    def add(self, network: NetworkWeights, inr: PublishedInr, metadata: Mapping[str, str]) -> None:
        """Take a network; all are of one architecture.

        Args:
            metadata: of the part that it comes into.

        Raises:
            DataError, CheckpointError: the zoo cannot be written.
        """
        self._waiting.append((network, inr))
        count = len(self._waiting)
        if count == MOST_NETWORKS or count * network.architecture.parameter_count >= _MOST_NUMBERS:
            self._write(metadata)

    def finish(self, origin: Mapping[str, Any], metadata: Mapping[str, str]) -> list[InrRow]:
        """Write what waits, then `zoo.yaml` from `origin`, then `labels.csv`; returns its rows.

        Raises:
            DataError, CheckpointError: the zoo cannot be written.
        """
        if self._waiting:
            self._write(metadata)
        self.complete(origin, lambda: write_inr_rows(self.folder, self._rows))
        return self._rows

    def _write(self, metadata: Mapping[str, str]) -> None:
        networks = [network for network, _ in self._waiting]
        name = self.write_part(stack(networks).tensors, len(networks), metadata)
        self._rows += [
            InrRow(
                file=name,
                index=place,
                split=inr.split,
                image=inr.number,
                fit=inr.fit,
                label=self._classes[inr.label],
                psnr=None,
            )
            for place, (_, inr) in enumerate(self._waiting)
        ]
        self._waiting = []
