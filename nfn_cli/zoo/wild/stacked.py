"""Networks of one architecture side by side: one pass takes pictures of each through each."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call


class StackedNetworks:
    """Networks whose parameters lie in one flat tensor: all weights of a layer, then those of the next.

    Attributes:
        numbers: the parameters, float32 [members · parameters], a leaf that takes gradients.
        buffers: by name, [members, *shape]; passes in training mode change them.
    """

    def __init__(self, networks: Sequence[nn.Module], device: torch.device) -> None:
        self.members = len(networks)
        self._shapes = {name: parameter.shape for name, parameter in networks[0].named_parameters()}
        states = [network.state_dict() for network in networks]
        stacked = {name: torch.stack([state[name] for state in states]).to(device) for name in states[0]}
        self.numbers = torch.cat([stacked[name].flatten() for name in self._shapes]).requires_grad_()
        self.buffers = {name: value for name, value in stacked.items() if name not in self._shapes}
        self._order = list(states[0])
        self._module = copy.deepcopy(networks[0]).to("meta")
        self._pass = torch.vmap(self._one, randomness="different")

    def logits(self, numbers: Tensor, pictures: Tensor, *, training: bool) -> Tensor:
        """Of each member's pictures [members, batch, channels, height, width]: [members, batch, classes].

        Args:
            numbers: as `numbers`, such as an average of them.
        """
        self._module.train(training)
        logits: Tensor = self._pass(self._split(numbers), self.buffers, pictures)
        return logits

    def each(self, values: Tensor) -> Tensor:
        """A value of each member [members], for every number of `numbers`."""
        parts = [values[:, None].expand(-1, shape.numel()).flatten() for shape in self._shapes.values()]
        return torch.cat(parts)

    def states(self, numbers: Tensor) -> list[dict[str, Tensor]]:
        """State dicts of the members, on the CPU, in the module's order."""
        kept = {name: value.cpu() for name, value in {**self._split(numbers.detach()), **self.buffers}.items()}
        return [{name: kept[name][member].clone() for name in self._order} for member in range(self.members)]

    def _split(self, numbers: Tensor) -> dict[str, Tensor]:
        parts = numbers.split([self.members * shape.numel() for shape in self._shapes.values()])
        return {
            name: part.view(self.members, *shape)
            for part, (name, shape) in zip(parts, self._shapes.items(), strict=True)
        }

    def _one(self, parameters: dict[str, Tensor], buffers: dict[str, Tensor], pictures: Tensor) -> Tensor:
        logits: Tensor = functional_call(self._module, (parameters, buffers), (pictures,))
        return logits
