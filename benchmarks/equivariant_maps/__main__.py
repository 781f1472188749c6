"""Do the layers derived from labels span all equivariant linear maps? And how many parameters do they take?

For small networks, chosen and random: the dimension of the space of linear maps between weight spaces that commute with
the group, counted from sampled elements without knowing the layers (`Commutant`), beside the dimension that the layer
spans, as the rank of layers with random parameters; and the parameters of the layer. A shortfall is marked.

For a ResNet-20 and a Llama of two layers: parameters of all equivariant linear maps of the weight space, and of a layer
from 16 to 16 channels a tensor, beside the same for permutations alone.

    python benchmarks/equivariant_maps [--random 20]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from networks import CHOSEN, Made, drawn
from torch import nn

from nfn_cli.architectures.families.variants.llama import from_config
from nfn_cli.architectures.labels import LabelledArchitecture, Solutions
from nfn_cli.nn.labelled import Commutant, LabelledLayout, LabelledLinear, Term, terms

CHANNELS = 16
LLAMA = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "rms_norm_eps": 1e-6,
    "rope_theta": 10_000.0,
    "vocab_size": 32,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "tie_word_embeddings": False,
    "hidden_act": "silu",
}


def dimensions(name: str, made: Made) -> bool:
    """Print a line; whether the layer spans all maps."""
    module, inputs = made
    layout = LabelledLayout.from_module(module, inputs)
    layer = LabelledLinear(layout, layout.features, layout.features, bias=False)
    commutant = Commutant.of(layout)
    spanned = commutant.spanned(layer)
    parameters = sum(weight.numel() for weight in layer.parameters())
    short = "" if spanned == commutant.dimension else "  SHORT"
    print(f"{name:28} {layout.entries:8} {commutant.dimension:10} {spanned:8} {parameters:10}{short}", flush=True)
    return not short


def permutations_alone(architecture: LabelledArchitecture) -> LabelledArchitecture:
    """The same network with no scales and signs in its group."""

    def none(solutions: Solutions) -> Solutions:
        empty = np.empty(0, np.int32)
        return Solutions(solutions.variables, 0, empty, empty, np.empty(0))

    return replace(architecture, logs=none(architecture.logs), signs=none(architecture.signs))


def counts(layout: LabelledLayout) -> tuple[int, int]:
    """Parameters of all maps of the weight space, and of a layer from and to 16 channels a tensor."""
    found: Sequence[Term] = terms(layout.fields, bias=False)
    features = layout.features
    whole = sum(features[term.source] * features[term.target] for term in found if term.source is not None)
    return whole, CHANNELS**2 * len(found)


def parameters(name: str, module: nn.Module, inputs: torch.Tensor) -> None:
    """Print a line."""
    full = LabelledLayout.from_module(module, inputs, merge=False)
    left = {name: shape for name, shape in full.shapes.items() if name in full.architecture.left}
    alone = LabelledLayout.of(permutations_alone(full.architecture), left, merge=False)
    ours, theirs = counts(full), counts(alone)
    print(f"{name:28} {full.entries:8} {ours[0]:12,} {theirs[0]:14,} {ours[1]:12,} {theirs[1]:14,}", flush=True)


class ResNet20(nn.Module):
    """The residual network of He et al. 2015 for CIFAR-10, 20 layers deep, with projections as shortcuts."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16)
        sizes = [(16, 16, 1)] * 3 + [(16, 32, 2)] + [(32, 32, 1)] * 2 + [(32, 64, 2)] + [(64, 64, 1)] * 2
        self.blocks = nn.Sequential(*(_Basic(*own) for own in sizes))
        self.fc = nn.Linear(64, classes)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        values = self.blocks(torch.relu(self.bn1(self.conv1(values))))
        return self.fc(values.mean((2, 3)))  # type: ignore[no-any-return]


class _Basic(nn.Module):
    def __init__(self, ins: int, outs: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(ins, outs, 3, stride, 1, bias=False), nn.BatchNorm2d(outs)
        self.conv2, self.bn2 = nn.Conv2d(outs, outs, 3, 1, 1, bias=False), nn.BatchNorm2d(outs)
        projection = nn.Sequential(nn.Conv2d(ins, outs, 1, stride, bias=False), nn.BatchNorm2d(outs))
        self.shortcut = nn.Sequential() if ins == outs else projection

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        inside = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(values)))))
        return torch.relu(inside + self.shortcut(values))


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--random", type=int, default=20, help="how many random networks")
    chosen = options.parse_args()
    torch.manual_seed(0)
    print(f"{'network':28} {'entries':>8} {'dimension':>10} {'spanned':>8} {'parameters':>10}")
    whole = [dimensions(name, make()) for name, make in CHOSEN.items()]
    for seed in range(chosen.random):
        made = drawn(seed)
        whole.append(dimensions(f"random {seed} ({type(made[0]).__name__})", made))
    print(f"\n{sum(whole)} of {len(whole)} are spanned whole\n")
    print(f"{'':28} {'':>8} {'all equivariant maps':>27} {f'{CHANNELS} to {CHANNELS} channels':>27}")
    print(f"{'network':28} {'entries':>8} {'ours':>12} {'permutations':>14} {'ours':>12} {'permutations':>14}")
    parameters("ResNet-20", ResNet20(), torch.zeros(2, 3, 32, 32))
    llama = from_config(LLAMA, {"model.embed_tokens.weight": (32, 32), "lm_head.weight": (32, 32)})
    assert llama is not None
    parameters("Llama, 2 layers", llama.make().eval(), torch.zeros(2, 8, dtype=torch.int64))
    return 0 if all(whole) else 1


if __name__ == "__main__":
    sys.exit(main())
