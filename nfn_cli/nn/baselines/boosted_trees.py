"""Gradient-boosted trees on one vector a network: STATNN as its authors used it best (Unterthiner et al. 2020)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from nfn_cli.errors import HeadError


class BoostedTrees:
    """Least-squares boosting by scikit-learn's `HistGradientBoostingRegressor`.

    Not a module: it is fitted in one call, and predicts accuracies rather than logits.

    Args:
        learning_rate: weight of each tree.
        iterations: number of trees; none is held back for early stopping.
        seed: of the binning of large populations.

    Raises:
        HeadError: scikit-learn is not installed.
    """

    def __init__(self, learning_rate: float = 0.1, iterations: int = 300, seed: int = 0) -> None:
        try:
            from sklearn.ensemble import HistGradientBoostingRegressor
        except ImportError as error:
            raise HeadError("boosted trees", "scikit-learn is not installed", "pip install 'nfn-cli[bench]'") from error
        self._trees = HistGradientBoostingRegressor(
            learning_rate=learning_rate, max_iter=iterations, early_stopping=False, random_state=seed
        )

    def fit(self, inputs: Sequence[Tensor], accuracies: Tensor) -> None:
        """Fit to one tensor [networks, features] and accuracies [networks]."""
        (rows,) = inputs
        self._trees.fit(rows.cpu().numpy(), accuracies.cpu().numpy())

    def __call__(self, inputs: Sequence[Tensor]) -> Tensor:
        """Accuracies, float64 [batch], of one tensor [batch, features]."""
        (rows,) = inputs
        return torch.from_numpy(self._trees.predict(rows.cpu().numpy())).double()
