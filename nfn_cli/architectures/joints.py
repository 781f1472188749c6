"""What lies between two layers of a chain: neurons that may be moved, or perhaps more than a chain has.

Shapes that chain are no proof. Here rival readings are looked for: skips around a container, branches that read the
same neurons, gates, recurrent cells, networks of their own, parallel and transposed convolutions. Where one is likely,
the neurons that it would read stay in place. What holds under all of them is moved: what lies inside of an
`nn.Sequential`, which no other module sees, and what follows by number in flat names, where no width speaks against it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import lru_cache
from itertools import pairwise

from nfn_cli.architectures.beside import Taken
from nfn_cli.architectures.family_names import counts_on, is_restart, may_be_heads
from nfn_cli.architectures.layer import Layer
from nfn_cli.architectures.names import first_difference, rank, shared_tokens, tokens
from nfn_cli.architectures.scopes import Path, Scopes

_CONVOLVES = {"conv", "convs", "cnn", "convnet", "vision", "visual", "image"}
# Numbers of positions, by dimensions: of poolings side by side, such as mean and maximum, and of pyramids (1 + 4 + 16).
_POOLS = {1: (2, 3), 2: (2, 3, 5, 21), 3: (2, 3)}
_CONNECTS = {"fc", "fcs", "linear", "linears", "dense", "mlp", "lin"}


@lru_cache(maxsize=64)  # files of one population have the same layers
def joint_reasons(
    layers: tuple[Layer, ...], norms: tuple[str, ...], all_norms: tuple[str, ...], taken: tuple[Taken, ...]
) -> tuple[str | None, ...]:
    """Of each joint why its neurons stay in place; None where they may be moved. See `Joints`."""
    return tuple(Joints(layers, norms, all_norms, taken).reasons())


class Joints:
    """The joints of layers in the order of computation: joint k lies between layers k and k + 1.

    Args:
        norms: the names of norms other than BatchNorm, which make a block of a single layer one that may have a skip.
        all_norms: those of all norms.
        taken: widths that other tensors of the file have: they may be indexed by the neurons.
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        norms: Collection[str] = (),
        all_norms: Collection[str] = (),
        taken: Sequence[Taken] = (),
    ) -> None:
        self.layers = layers
        self.scopes = Scopes([layer.name for layer in layers])
        self.tokens = [tokens(layer.name) for layer in layers]
        self.norms, self.all_norms = norms, all_norms
        joints = range(len(layers) - 1)
        self.sealed = [self.scopes.sealed(joint) for joint in joints]
        self.numbered = [counts_on(self.tokens, joint) and not self._are_heads(joint) for joint in joints]
        # Why a joint stays whatever holds it, why it stays unless it is sealed, and why all joints of a width do.
        self._hard: dict[int, str] = {}
        self._soft: dict[int, str] = {}
        self._widths: dict[int, str] = {}
        self._containers()
        for joint in joints:
            if not self.sealed[joint] and not self.numbered[joint]:
                self._judge(joint)
            elif not self.sealed[joint]:
                self._judge_counted(joint)
            if self._may_be_parallel(joint):
                what = f"the convolutions before {layers[joint + 1].name} may be parallel branches"
                self._hard |= dict.fromkeys(range(joint + 1), what)
        self._gates()
        self._ways_back()
        self._squeezes()
        self._repeats()
        self._odd_readers()
        self._transposed()
        for joint, reason in enumerate(taken_joints(layers, taken)):
            if reason is not None:
                self._hard.setdefault(joint, reason)

    def reasons(self) -> list[str | None]:
        """Of each joint why its neurons stay in place; None where they may be moved."""
        return [self._reason(joint) for joint in range(len(self.layers) - 1)]

    def _reason(self, joint: int) -> str | None:
        soft = self._soft.get(joint) or self._widths.get(self.layers[joint].out_features)
        return (None if self.sealed[joint] else soft) or self._hard.get(joint)

    def _linked(self, joint: int) -> bool:
        return 0 <= joint < len(self.sealed) and (self.sealed[joint] or self.numbered[joint])

    def _are_heads(self, joint: int) -> bool:
        """Whether two layers such as `head1` and `head2` may both read what comes before them."""
        before, after = self.layers[joint], self.layers[joint + 1]
        shared = [token for token in self.tokens[joint] if isinstance(token, str)]
        last = bool(shared) and rank(shared[-1]) > 0
        if self.sealed[joint] or before.in_features != after.in_features:
            return False
        return last or may_be_heads(self.layers, self.tokens, joint) or self._are_listed_heads(joint)

    def _are_listed_heads(self, joint: int) -> bool:
        """Whether two layers of a list behind another container may both read what that gives."""
        path, other = self.scopes.paths[joint][:-1], self.scopes.paths[joint + 1][:-1]
        own = self.scopes.containers.get(path, ())
        if path != other or not own or own[0] == 0 or not self.scopes.paths[joint][-1].isdecimal():
            return False
        entry = self.scopes.units(own[0] - 1, own[0])
        listed = all(layer.in_features == self.layers[joint].in_features for layer in (self.layers[k] for k in own))
        return listed and entry[0] in self.scopes.containers and not self._classifies(*entry)

    def _containers(self) -> None:
        """A block with as many inputs as outputs may have a skip: what it reads and gives stays."""
        blocks = {path: own for path, own in self.scopes.containers.items() if own == tuple(range(own[0], own[-1] + 1))}
        for path, own in self.scopes.containers.items():
            if path not in blocks:
                for joint in range(len(self.layers) - 1):
                    if joint in own or joint + 1 in own:
                        self._hard[joint] = f"the layers of {'.'.join(path)} do not stand together"
        for layer, path in enumerate(self.scopes.paths):
            if len(path) > 1 and path[:-1] not in self.scopes.containers and self._has_norm(path[:-1], self.norms):
                blocks[path[:-1]] = (layer,)
            elif unit := self.scopes.wrapped(layer):
                blocks[unit] = (layer,)
        skipping = {path for path, own in blocks.items() if self._may_skip(own)}
        alike = {_kind_of(path) for path in skipping}
        for path, own in blocks.items():
            if _kind_of(path) in alike:
                self._fix_block(path, own)

    def _may_skip(self, own: Sequence[int]) -> bool:
        first, last = self.layers[own[0]], self.layers[own[-1]]
        return first.in_features == last.out_features and first.spatial == 1 and first.kind == last.kind

    def _has_norm(self, path: Path, norms: Collection[str]) -> bool:
        name = ".".join(path)
        return any(f".{norm}".rpartition(".")[0].endswith(f".{name}") for norm in norms)

    def _fix_block(self, path: Path, own: Sequence[int]) -> None:
        what = f"{'.'.join(path)} may be a residual block, with a skip around it"
        start, stop = own[0], own[-1]
        self._widths.setdefault(self.layers[start].in_features, what)
        self._widths.setdefault(self.layers[stop].out_features, what)
        for joint in (start - 1, stop):
            self._soft.setdefault(joint, what)
        normed = self._has_norm(path, self.all_norms)
        for joint in range(start, stop):
            width = self.layers[joint].out_features
            given = any(self.layers[later].out_features == width for later in range(joint + 1, stop + 1))
            read = any(self.layers[earlier].in_features == width for earlier in range(start, joint + 1))
            if normed or given or read:
                self._soft.setdefault(joint, what)

    def _judge(self, joint: int) -> None:
        """Two layers whose names do not count on from each other."""
        before, after = self.layers[joint], self.layers[joint + 1]
        one, other = self.scopes.units(joint, joint + 1)
        if one in self.scopes.containers and other in self.scopes.containers:
            self._judge_networks(joint, one, other)
            return
        width = before.out_features
        mine, theirs = (self._rank(joint, side) for side in (0, 1))
        self._judge_ends(joint, *self._run(joint), named=mine < 0 or theirs > 0)
        if before.in_features == after.in_features and self._are_siblings(joint):
            self._soft[joint] = f"{before.name} and {after.name} may read the same neurons"
            self._widths.setdefault(before.in_features, self._soft[joint])
        rivals = [*self._other_readers(joint), *self._other_givers(joint)]
        if rivals:
            names = ", ".join(dict.fromkeys([after.name, *rivals]))
            what = f"{names} meet the same {width} neurons, as branches, a gate, a skip or a recurrent cell may"
            self._soft[joint] = what
            self._widths.setdefault(width, what)
        for layer, linked, named in (
            (before, self._linked(joint - 1), mine < 0),
            (after, self._linked(joint + 1) or before.kind != after.kind, theirs > 0),
        ):
            if layer.in_features == layer.out_features and not linked and not named:
                what = f"{layer.name} may be a skip, a branch, a gate or a recurrent cell"
                self._soft.setdefault(joint, what)
                self._widths.setdefault(width, what)

    def _are_siblings(self, joint: int) -> bool:
        """Whether two names have one number and differ behind it: `fc2_mu` and `fc2_var`."""
        place = shared_tokens(self.tokens[joint], self.tokens[joint + 1])
        return place > 0 and isinstance(self.tokens[joint][place - 1], int)

    def _judge_counted(self, joint: int) -> None:
        """Two layers whose names count on, though they may belong to networks of their own."""
        one, other = self.scopes.units(joint, joint + 1)
        containers = self.scopes.containers
        if one in containers and other in containers:
            self._judge_ends(joint, containers[one][0], containers[other][-1])
        elif is_restart(self.tokens, joint):
            self._judge_ends(joint, 0, len(self.layers) - 1)

    def _run(self, joint: int) -> tuple[int, int]:
        """The first and last layer that are linked to those at a joint: its own two if none are."""
        first, last = joint, joint + 1
        while self._linked(first - 1):
            first -= 1
        while self._linked(last):
            last += 1
        return first, last

    def _judge_ends(self, joint: int, start: int, stop: int, *, named: bool = False) -> None:
        """Layers `start` to `joint`, and those behind up to `stop`, may be two networks.

        Both may read the network's inputs, or these and what the first one gives; or the second may lead back to what
        the first one reads, unless it is `named` as what comes behind.
        """
        before, after = self.layers[joint], self.layers[joint + 1]
        first, last = self.layers[start], self.layers[stop]
        # Of layers of one width the last reads what they give: nothing but its name would tell otherwise.
        equal = joint + 2 == len(self.layers) and all(
            layer.in_features == layer.out_features for layer in self.layers[: joint + 1]
        )
        beside = self.layers[0].in_features == after.in_features and not equal
        inverse = not named and first.in_features == last.out_features and start < joint and joint + 1 < stop
        if (beside or inverse) and first.kind == before.kind == after.kind == last.kind:
            what = f"{after.name} may read what {first.name} reads, as a branch, a skip or another network does"
            what = what if beside else f"{after.name} may begin a network that leads back to what {first.name} reads"
            self._soft.setdefault(joint, what)

    def _ways_back(self) -> None:
        """A layer further on may add the neurons that an earlier one gave, once fewer have been between them: a U-Net.

        Only where names do not count all the way from the one to the other.
        """
        last = len(self.layers) - 1
        for place in range(last):
            width, kind = self.layers[place].out_features, self.layers[place].kind
            counted, narrower = True, False
            for later in range(place + 1, last):
                counted &= self._linked(later - 1)
                layer = self.layers[later]
                if layer.kind != kind:
                    break
                if narrower and not counted and layer.out_features == width:
                    what = f"{self.layers[later + 1].name} may read the neurons of {self.layers[place].name} as well"
                    self._widths.setdefault(width, what)
                    break
                narrower |= layer.out_features < width

    def _squeezes(self) -> None:
        """Linear layers that lead back to as many neurons as a convolution before them has may be a gate of its."""
        for joint in range(len(self.layers) - 1):
            before, after = self.layers[joint], self.layers[joint + 1]
            if before.kind != "conv" or after.kind != "linear" or after.spatial != 1 or self.sealed[joint]:
                continue
            back = [layer for layer in self.layers[joint + 2 : -1] if layer.out_features == before.out_features]
            if back and after.out_features < before.out_features:
                self._soft.setdefault(joint, f"{after.name} and {back[0].name} may be a gate of {before.name}")
                self._widths.setdefault(before.out_features, self._soft[joint])

    def _repeats(self) -> None:
        """Layers that come again in the same shapes, from as many inputs, may be several networks of one kind."""
        shapes = [(layer.kind, layer.weight_shape) for layer in self.layers]
        for period in range(2, len(shapes) // 2 + 1):
            if len(shapes) % period == 0 and shapes == shapes[:period] * (len(shapes) // period):
                if len(set(shapes)) > 1:
                    for joint in range(period - 1, len(shapes) - 1, period):
                        what = f"{self.layers[0].name} and {self.layers[joint + 1].name} may begin networks of one kind"
                        self._soft.setdefault(joint, what)
                return

    def _odd_readers(self) -> None:
        """What reads neurons otherwise than its shape says, and may be known by it."""
        for joint in range(len(self.layers) - 1):
            before, after = self.layers[joint], self.layers[joint + 1]
            if before.kind == "linear" and after.kernel == (after.in_features,):
                self._hard[joint] = f"{after.name} may be bilinear and read the neurons of {before.name} twice"
            if before.kind == "conv" and after.spatial in _POOLS.get(len(before.kernel), ()):
                self._hard[joint] = f"{after.name} may read {before.name} through several poolings side by side"
            if self._named_by_kernel(joint):
                self._hard[joint] = f"{before.name} and {after.name} are numbered by their kernels and may be parallel"
                for width in (before.in_features, before.out_features, after.out_features):
                    self._widths.setdefault(width, self._hard[joint])
            if self._may_be_embedding(joint):
                self._hard[joint] = f"{before.name} may be an embedding"
        if len(self.layers) > 1:
            first, second = self.layers[:2]
            grouped = first.kind == second.kind == "conv" and first.in_features == 1 < max(first.kernel)
            if grouped and max(second.kernel) == 1:
                self._hard[0] = f"{first.name} may be depthwise: a group for each input channel"

    def _named_by_kernel(self, joint: int) -> bool:
        """Whether two convolutions that could read the same have the sizes of their kernels for numbers."""
        pair = self.layers[joint : joint + 2]
        sizes = [max(layer.kernel, default=0) for layer in pair]
        numbers = [self.tokens[place][-1] for place in (joint, joint + 1)]
        return pair[0].in_features == pair[1].in_features and 0 < sizes[0] != sizes[1] and numbers == sizes

    def _may_be_embedding(self, joint: int) -> bool:
        """Whether no activation stands behind a square matrix without bias, where they stand behind others."""
        before = self.layers[joint]
        path, other = self.scopes.paths[joint : joint + 2]
        if before.kind == "conv" or before.has_bias or before.in_features != before.out_features:
            return False
        directly = path[-1].isdecimal() and other[-1].isdecimal() and int(other[-1]) == int(path[-1]) + 1
        return joint == 0 and path[:-1] == other[:-1] and directly and any(self.sealed)

    def _judge_networks(self, joint: int, one: Path, other: Path) -> None:
        """Two containers of layers: one network, or two."""
        before, after = self.layers[joint], self.layers[joint + 1]
        if before.kind == "conv" and after.kind == "linear" and self._classifies(one, other):
            return
        names = ".".join(one), ".".join(other)
        self._soft[joint] = f"{names[0]} and {names[1]} may be networks of their own"
        # The one may read the neurons of the other on the way, as a U-Net's decoder adds its encoder's.
        inner = [
            {self.layers[place].out_features for place in self.scopes.containers[path][:-1] if not self.sealed[place]}
            for path in (one, other)
        ]
        for width in inner[0] & inner[1]:
            self._widths.setdefault(width, f"{names[1]} may read the neurons of {names[0]} on its way")

    def _classifies(self, one: Path, other: Path) -> bool:
        """Whether the names tell convolutions and what reads them: `features` and `classifier`, `convs` and `fcs`."""
        mine, theirs = (tuple(str(token) for token in tokens(path[-1])) for path in (one, other))
        first = any(rank(word) < 0 or set(word.split("_")) & _CONVOLVES for word in mine)
        last = any(rank(word) > 0 or set(word.split("_")) & _CONNECTS for word in theirs)
        return first and last

    def _rank(self, joint: int, side: int) -> int:
        token = first_difference(self.tokens[joint], self.tokens[joint + 1])[side]
        return rank(token) if token is not None else 0

    def _other_readers(self, joint: int) -> list[str]:
        """Layers further on that may read what layer `joint` gives."""
        before, after = self.layers[joint], self.layers[joint + 1]
        sizes = {before.out_features, after.in_features}
        runs = self._linked(joint + 1) or after.in_features != after.out_features
        found = []
        for place in range(joint + 2, len(self.layers)):
            layer = self.layers[place]
            last = first_difference(self.tokens[joint + 1], self.tokens[place])[1]
            excused = runs and last is not None and rank(last) > 0
            if layer.in_features in sizes and layer.spatial == 1 and not self._linked(place - 1) and not excused:
                found.append(layer.name)
        return found

    def _other_givers(self, joint: int) -> list[str]:
        """Layers before that may give what layer `joint + 1` reads."""
        before = self.layers[joint]
        found = []
        for place in range(joint):
            layer = self.layers[place]
            first = first_difference(self.tokens[place], self.tokens[joint])[0]
            excused = self._linked(joint - 1) and first is not None and rank(first) < 0
            if layer.out_features == before.out_features and not self._linked(place) and not excused:
                found.append(layer.name)
        return found

    def _may_be_parallel(self, joint: int) -> bool:
        """Whether a linear layer may read several convolutions of the same neurons side by side."""
        after = self.layers[joint + 1]
        if after.spatial == 1 or self.layers[joint].kind != "conv":
            return False
        total, kernels = 0, set()
        for place in range(joint, -1, -1):
            layer = self.layers[place]
            if layer.kind != "conv" or layer.in_features != self.layers[joint].in_features:
                return False
            total += layer.out_features
            kernels.add(layer.kernel)
            if place < joint and total == after.in_features:
                dimensions = len(layer.kernel)
                square = round(after.spatial ** (1 / dimensions)) ** dimensions == after.spatial
                return len(kernels) > 1 or not square or dimensions == 1
        return False

    def _gates(self) -> None:
        """Layers of n→m, m→n and n→m may be a value, what reads it, and its gate: `w1`, `w2` and `w3`."""
        for place in range(len(self.layers) - 2):
            one, back, other = self.layers[place : place + 3]
            sizes = (one.in_features, one.out_features)
            alike = (other.in_features, other.out_features) == sizes == (back.out_features, back.in_features)
            alike &= sizes[0] != sizes[1] and one.kind == back.kind == other.kind
            container = self.scopes.paths[place][:-1]
            alone = sum(path[:-1] == container for path in self.scopes.paths) == 3
            if alike and alone and not self.sealed[place]:
                what = f"{other.name} may be a gate of {one.name}"
                for width in sizes:
                    self._widths.setdefault(width, what)

    def _transposed(self) -> None:
        """A square convolution says nothing of which axis it reads; convolutions beside it that are not square do.

        Nor do those say it which have no bias and chain the other way round as well: 5→8 and 8→5.
        """
        runs: list[list[int]] = []
        for place, layer in enumerate(self.layers):
            if layer.kind != "conv":
                continue
            if not runs or runs[-1][-1] != place - 1:
                runs.append([])
            runs[-1].append(place)
        for run in runs:
            square = [place for place in run if self.layers[place].in_features == self.layers[place].out_features]
            turned = len(run) > 1 and self._chains_turned([self.layers[place] for place in run])
            pinned = len(square) < len(run) and not turned
            kernels = {self.layers[place].kernel for place in run}
            for place in run if turned else square:
                doubling = len(kernels) > 1 and all(size in (2, 4) for size in self.layers[place].kernel)
                if not pinned or doubling:
                    what = f"{self.layers[place].name} may be a transposed convolution (ConvTranspose)"
                    self._hard.setdefault(place - 1, what)
                    self._hard.setdefault(place, what)

    def _chains_turned(self, run: Sequence[Layer]) -> bool:
        unpinned = all(layer.in_features == layer.out_features or not layer.has_bias for layer in run)
        return unpinned and all(one.in_features == other.out_features for one, other in pairwise(run))


def taken_joints(layers: Sequence[Layer], taken: Sequence[Taken]) -> list[str | None]:
    """Of each joint why another tensor may be indexed by its neurons; None where there is none.

    What is inside of an `nn.Sequential` is seen by nothing outside of it.
    """
    scopes = Scopes([layer.name for layer in layers])
    found: list[str | None] = []
    for joint, layer in enumerate(layers[:-1]):
        container = layer.name.rpartition(".")[0]
        own = [other for other in taken if other.width == layer.out_features]
        if scopes.sealed(joint) and container:
            own = [other for other in own if f"{other.module}.".startswith(f"{container}.")]
        found.append(own[0].reason if own else None)
    return found


def _kind_of(path: Path) -> tuple[int, tuple[str, ...]]:
    """Equal for containers that are blocks of one kind, such as `layer1.0` and `layer2.0`."""
    return len(path), tuple(part for part in tokens(".".join(path)) if isinstance(part, str))
