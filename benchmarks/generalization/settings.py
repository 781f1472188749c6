"""The columns of the table: an activation, and how networks are moved along their orbits."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Setting:
    """A column.

    Attributes:
        name: on the command line and in the cache.
        title: at the head of the column.
        activation: of the zoo.
        moved: whether each network appears a second time, acted on by a random element.
        scale: largest scale of the elements, which are drawn uniformly from [1, scale].
    """

    name: str
    title: str
    activation: str
    moved: bool = False
    scale: float = 1.0


SETTINGS = {
    setting.name: setting
    for setting in (
        Setting("relu", "ReLU", "relu"),
        *(Setting(f"relu-{10**k}", f"U[1, {f'10^{k}' if k > 1 else 10}]", "relu", True, 10.0**k) for k in range(1, 5)),
        Setting("tanh", "tanh", "tanh"),
        Setting("tanh-flips", "flips", "tanh", True),
    )
}


@dataclass(frozen=True)
class Budget:
    """What every method that is trained step by step gets, in every setting.

    Attributes:
        epochs: passes over the training networks, as they are.
        batch_size: networks a step.
    """

    epochs: int
    batch_size: int

    def within(self, setting: Setting) -> Budget:
        """The same number of steps in a setting: with moved copies, half the passes over twice the networks."""
        return replace(self, epochs=max(1, self.epochs // 2)) if setting.moved else self
