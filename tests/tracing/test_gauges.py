"""Freedoms that are no monomial matrices: what is listed is applied by hand, and what must not be listed is not."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nfn_cli.architectures.labels import Gauge
from nfn_cli.architectures.tracing.export import export
from nfn_cli.architectures.tracing.tracer import trace
from nfn_cli.symmetry.labelled.fingerprint import fingerprint

VOCABULARY, WIDTH, HEADS, SIZE, HIDDEN = 11, 8, 2, 4, 6
TOKENS = torch.tensor([[3, 1, 4, 1, 5]])


class RMSNorm(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6))


class Plain(nn.Module):
    """An RMS normalisation without gains."""

    def __init__(self, width: int) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6)


class Attention(nn.Module):
    def __init__(self, *, groups: int = HEADS, bias: bool = False, rotary: bool = False, qk_norm: bool = False) -> None:
        super().__init__()
        self.groups, self.rotary = groups, rotary
        self.q = nn.Linear(WIDTH, HEADS * SIZE, bias=bias)
        self.k = nn.Linear(WIDTH, groups * SIZE, bias=bias)
        self.v = nn.Linear(WIDTH, groups * SIZE, bias=bias)
        self.o = nn.Linear(HEADS * SIZE, WIDTH, bias=bias)
        self.q_norm = RMSNorm(SIZE) if qk_norm else nn.Identity()
        self.k_norm = RMSNorm(SIZE) if qk_norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        batch, length = x.shape[:2]
        q, k, v = (own(x).view(batch, length, -1, SIZE).transpose(1, 2) for own in (self.q, self.k, self.v))
        q, k = self.q_norm(q), self.k_norm(k)
        if self.rotary:
            angles = torch.arange(length).float()[:, None] * torch.tensor([1.0, 0.1])
            angles = torch.cat((angles, angles), dim=-1)
            cos, sin = angles.cos()[None, None], angles.sin()[None, None]
            q, k = (own * cos + turned(own) * sin for own in (q, k))
        if self.groups != HEADS:
            times = HEADS // self.groups
            k, v = (
                own[:, :, None].expand(batch, self.groups, times, length, SIZE).reshape(batch, HEADS, length, SIZE)
                for own in (k, v)
            )
        weights = torch.softmax(q @ k.transpose(2, 3) * SIZE**-0.5, dim=-1)
        return self.o((weights @ v).transpose(1, 2).reshape(batch, length, -1))


def turned(x: Tensor) -> Tensor:
    return torch.cat((-x[..., SIZE // 2 :], x[..., : SIZE // 2]), dim=-1)


class Transformer(nn.Module):
    """One layer before a norm each, of sizes too small to hide anything."""

    def __init__(
        self,
        norm: Callable[[int], nn.Module] = RMSNorm,
        *,
        tied: bool = False,
        gain: bool = False,
        bias: bool = False,
        bare: bool = False,
        **attention: bool | int,
    ) -> None:
        super().__init__()
        self.embed = nn.Embedding(VOCABULARY, WIDTH)
        self.norm_1, self.norm_2, self.norm_3 = norm(WIDTH), norm(WIDTH), nn.Identity() if bare else norm(WIDTH)
        self.attention = Attention(bias=bias, **attention)  # type: ignore[arg-type]
        self.up, self.down = nn.Linear(WIDTH, HIDDEN, bias=bias), nn.Linear(HIDDEN, WIDTH, bias=bias)
        self.head = nn.Linear(WIDTH, VOCABULARY, bias=bias)
        self.scale = nn.Parameter(torch.ones(WIDTH)) if gain else None
        if tied:
            self.head.weight = self.embed.weight

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embed(tokens)
        x = x + self.attention(self.norm_1(x))
        if self.scale is not None:
            x = x * self.scale
        x = x + self.down(F.gelu(self.up(self.norm_2(x))))
        return self.head(self.norm_3(x))


def random(module: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(0)
    module.double().eval()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64) * 0.5 + 0.1)
    return module


def gauges(module: nn.Module, example: Tensor = TOKENS) -> tuple[Gauge, ...]:
    if example.is_floating_point():
        example = example.to(next(module.parameters()).dtype)
    return trace(export(module.eval(), (example,))).gauges


def of(found: tuple[Gauge, ...], kind: str) -> list[tuple[str, int]]:
    return [(own.where, own.dimension) for own in found if kind in own.kind]


def assert_same(before: nn.Module, after: nn.Module, example: Tensor = TOKENS) -> None:
    with torch.no_grad():
        torch.testing.assert_close(after(example), before(example), rtol=1e-10, atol=1e-10)


def draw(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)


def rotation(n: int) -> Tensor:
    return torch.linalg.qr(draw(n, n))[0]


# Streams.


def readers(net: Transformer) -> list[tuple[nn.Module, list[nn.Linear]]]:
    attention = net.attention
    return [
        (net.norm_1, [attention.q, attention.k, attention.v]),
        (net.norm_2, [net.up]),
        (net.norm_3, [net.head]),
    ]


def rotate(net: Transformer, matrix: Tensor) -> None:
    """Every gain into what reads it; then x ↦ R x."""
    with torch.no_grad():
        for norm, weights in readers(net):
            for own in weights:
                own.weight.copy_(own.weight * norm.weight @ matrix.T)
            if getattr(norm, "bias", None) is not None:
                norm.bias.copy_(matrix @ (norm.bias / norm.weight))
            norm.weight.fill_(1)
        net.embed.weight.copy_(net.embed.weight @ matrix.T)
        for own in (net.attention.o, net.down):
            own.weight.copy_(matrix @ own.weight)
            if own.bias is not None:
                own.bias.copy_(matrix @ own.bias)


def test_a_stream_before_rms_norms_may_be_rotated() -> None:
    net = random(Transformer())
    assert of(gauges(net), "rotations O(8)") == [("embed", WIDTH * (WIDTH - 1) // 2)]
    other = copy.deepcopy(net)
    rotate(other, rotation(WIDTH))
    assert_same(net, other)


def test_the_fused_rms_norm_is_known_too() -> None:
    assert of(gauges(Transformer(nn.RMSNorm)), "rotations O(8)") == [("embed", 28)]


def test_a_stream_before_layer_norms_may_be_rotated_about_the_ones() -> None:
    net = random(Transformer(nn.LayerNorm, bias=True))
    assert of(gauges(net), "rotations that fix the ones") == [("embed", (WIDTH - 1) * (WIDTH - 2) // 2)]
    ones = torch.ones(WIDTH, dtype=torch.float64) / WIDTH**0.5
    basis = torch.linalg.qr(torch.cat([ones[:, None], draw(WIDTH, WIDTH - 1)], 1))[0]
    inner = torch.block_diag(torch.ones(1, 1, dtype=torch.float64), rotation(WIDTH - 1))
    other = copy.deepcopy(net)
    rotate(other, basis @ inner @ basis.T)
    assert_same(net, other)


@pytest.mark.parametrize(
    "options",
    [{"tied": True}, {"gain": True}, {"norm": nn.LayerNorm, "tied": True}],
    ids=["tied behind a gain", "a gain in the stream", "tied behind a LayerNorm"],
)
def test_a_stream_that_something_sees_may_not_be_rotated(options: dict) -> None:
    assert of(gauges(Transformer(**options)), "rotations") == []


def test_a_tied_embedding_without_gains_lets_a_stream_rotate() -> None:
    net = random(Transformer(Plain, tied=True))
    assert of(gauges(net), "rotations O(8)") == [("embed", 28)]
    matrix = rotation(WIDTH)
    other = copy.deepcopy(net)
    with torch.no_grad():
        for own in (other.attention.q, other.attention.k, other.attention.v, other.up, other.embed):
            own.weight.copy_(own.weight @ matrix.T)
        for own in (other.attention.o, other.down):
            own.weight.copy_(matrix @ own.weight)
    assert_same(net, other)


def test_norms_behind_the_branches_leave_no_rotation() -> None:
    class PostNorm(Transformer):
        def forward(self, tokens: Tensor) -> Tensor:
            x = self.norm_1(self.embed(tokens) + self.attention(self.embed(tokens)))
            return self.head(self.norm_2(x + self.down(F.gelu(self.up(x)))))

    assert of(gauges(PostNorm()), "rotations") == []


def test_a_norm_over_halves_of_a_stream_leaves_rotations_of_each() -> None:
    class Parted(Transformer):
        def forward(self, tokens: Tensor) -> Tensor:
            x = self.embed(tokens)
            x = x + self.down(F.gelu(self.up(self.norm_1(x))))
            halves = F.rms_norm(x.unflatten(-1, (2, -1)), (WIDTH // 2,)).flatten(-2)
            return self.head(halves)

    net = random(Parted())
    assert of(gauges(net), "rotations O(4)") == [("embed", 2 * 6)]
    one, other_half = rotation(4), rotation(4).T
    matrix = torch.block_diag(one, other_half)
    other = copy.deepcopy(net)
    with torch.no_grad():
        other.up.weight.copy_(net.up.weight * net.norm_1.weight @ matrix.T)
        other.norm_1.weight.fill_(1)
        other.head.weight.copy_(net.head.weight @ matrix.T)
        other.embed.weight.copy_(net.embed.weight @ matrix.T)
        other.down.weight.copy_(matrix @ net.down.weight)
    assert_same(net, other)


class ReadInPart(Transformer):
    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embed(tokens)
        x = x + self.attention(self.norm_1(x))
        x = x + self.down(F.gelu(self.up(self.norm_2(x))))
        return self.head(self.norm_3(x)) + torch.tanh(x[..., :1])


def test_of_a_stream_that_is_read_in_part_the_rest_may_be_rotated() -> None:
    assert of(gauges(ReadInPart()), "rotations") == [("embed", 7 * 6 // 2)]


def test_multiples_of_the_ones_are_lost_in_a_layer_norm() -> None:
    net = random(Transformer(nn.LayerNorm, bias=True, tied=True))
    found = of(gauges(net), "multiples of the ones")
    # The embedding is read by the head, too.
    assert found == [("attention.o", HEADS * SIZE + 1), ("down", HIDDEN + 1)]
    other = copy.deepcopy(net)
    with torch.no_grad():
        other.attention.o.weight.add_(draw(HEADS * SIZE))
        other.attention.o.bias.add_(3)
        other.down.weight.add_(draw(HIDDEN))
    assert_same(net, other)
    assert of(gauges(Transformer(nn.LayerNorm, bias=True)), "multiples of the ones")[0] == ("embed", VOCABULARY)


def test_ones_that_something_else_reads_are_not_lost() -> None:
    assert of(gauges(Transformer(nn.LayerNorm, bare=True)), "multiples of the ones") == []
    assert of(gauges(Transformer(RMSNorm)), "multiples of the ones") == []


def test_what_a_layer_norm_never_gives_may_be_read_at_will() -> None:
    net = random(Transformer(nn.LayerNorm, bias=True, tied=True))
    found = of(gauges(net), "1/gains")
    # The head has the embedding's numbers.
    assert found == [(f"attention.{name}", HEADS * SIZE) for name in "qkv"] + [("up", HIDDEN)]
    other = copy.deepcopy(net)
    with torch.no_grad():
        more = draw(HIDDEN)
        other.up.weight.add_(more[:, None] / net.norm_2.weight)
        other.up.bias.sub_(more * (net.norm_2.bias / net.norm_2.weight).sum())
    assert_same(net, other)


def test_without_a_bias_that_takes_the_norms_own_in_it_may_not() -> None:
    assert of(gauges(Transformer(nn.LayerNorm)), "1/gains") == []
    assert len(of(gauges(Transformer(lambda width: nn.LayerNorm(width, bias=False))), "1/gains")) == 5


# Attention.


@pytest.mark.parametrize("groups", [HEADS, 1])
def test_values_and_outputs_of_a_head_take_any_matrix(groups: int) -> None:
    net = random(Transformer(groups=groups, rotary=True))
    assert of(gauges(net), "GL(4) of values") == [("attention.v", groups * SIZE**2)]
    matrices = draw(groups, SIZE, SIZE)
    other = copy.deepcopy(net)
    with torch.no_grad():
        values = other.attention.v.weight.view(groups, SIZE, WIDTH)
        values.copy_(matrices @ values)
        outputs = other.attention.o.weight.view(WIDTH, groups, HEADS // groups, SIZE)
        outputs.copy_(torch.einsum("dgrj,gji->dgri", outputs, torch.linalg.inv(matrices)))
    assert_same(net, other)


def test_queries_and_keys_of_a_head_take_any_matrix() -> None:
    net = random(Transformer(bias=True))
    assert of(gauges(net), "GL(4) of queries") == [("attention.q", HEADS * SIZE**2)]
    matrices = draw(HEADS, SIZE, SIZE)
    other = copy.deepcopy(net)
    with torch.no_grad():
        for own, matrix in ((other.attention.k, matrices), (other.attention.q, torch.linalg.inv(matrices).mT)):
            weight, bias = own.weight.view(HEADS, SIZE, WIDTH), own.bias.view(HEADS, SIZE, 1)
            weight.copy_(matrix @ weight)
            bias.copy_(matrix @ bias)
    assert_same(net, other)


def test_a_rotary_embedding_or_a_norm_leaves_no_matrix() -> None:
    assert of(gauges(Transformer(rotary=True)), "of queries") == []
    assert of(gauges(Transformer(qk_norm=True)), "of queries") == []


def test_rotary_pairs_have_a_phase() -> None:
    net = random(Transformer(groups=1, rotary=True))
    assert of(gauges(net), "phases") == [("attention.k", SIZE // 2)]
    angles = torch.tensor([0.3, 1.1], dtype=torch.float64)
    cos, sin = torch.diag(angles.cos()), torch.diag(angles.sin())
    matrix = torch.cat([torch.cat([cos, -sin], 1), torch.cat([sin, cos], 1)])
    other = copy.deepcopy(net)
    with torch.no_grad():
        for own, heads in ((other.attention.q, HEADS), (other.attention.k, 1)):
            weight = own.weight.view(heads, SIZE, WIDTH)
            weight.copy_(matrix @ weight)
    assert_same(net, other)


def test_no_phase_behind_a_norm() -> None:
    assert of(gauges(Transformer(rotary=True, qk_norm=True)), "phases") == []


def test_no_phase_where_the_halves_turn_at_other_angles() -> None:
    class Other(Attention):
        def forward(self, x: Tensor) -> Tensor:
            batch, length = x.shape[:2]
            q, k, v = (own(x).view(batch, length, -1, SIZE).transpose(1, 2) for own in (self.q, self.k, self.v))
            angles = torch.arange(length).float()[:, None] * torch.tensor([1.0, 0.1])
            angles = torch.cat((angles, angles + 1), dim=-1)
            q, k = (own * angles.cos() + turned(own) * angles.sin() for own in (q, k))
            weights = torch.softmax(q @ k.transpose(2, 3), dim=-1)
            return self.o((weights @ v).transpose(1, 2).reshape(batch, length, -1))

    net = Transformer()
    net.attention = Other()
    assert of(gauges(net), "phases") == []


def test_a_key_bias_is_not_seen() -> None:
    net = random(Transformer(nn.LayerNorm, bias=True))
    assert of(gauges(net), "key bias") == [("attention.k.bias", HEADS * SIZE)]
    other = copy.deepcopy(net)
    with torch.no_grad():
        other.attention.k.bias.copy_(draw(HEADS * SIZE))
    assert_same(net, other)


def test_a_key_bias_is_seen_behind_a_rotary_embedding_or_a_norm() -> None:
    assert of(gauges(Transformer(bias=True, rotary=True)), "key bias") == []
    assert of(gauges(Transformer(bias=True, qk_norm=True)), "key bias") == []


def test_a_value_bias_may_go_into_the_output_bias() -> None:
    net = random(Transformer(bias=True))
    assert of(gauges(net), "value bias") == [("attention.v.bias", HEADS * SIZE)]
    shift = draw(HEADS * SIZE)
    other = copy.deepcopy(net)
    with torch.no_grad():
        other.attention.v.bias.add_(shift)
        other.attention.o.bias.sub_(other.attention.o.weight @ shift)
    assert_same(net, other)


def test_a_value_bias_stays_where_weights_do_not_sum_to_one() -> None:
    class Doubled(Attention):
        def forward(self, x: Tensor) -> Tensor:
            q, k, v = (own(x).unflatten(-1, (HEADS, SIZE)).transpose(1, 2) for own in (self.q, self.k, self.v))
            weights = torch.softmax(q @ k.transpose(2, 3), dim=-1) * torch.arange(5)
            return self.o((weights @ v).transpose(1, 2).flatten(2))

    net = Transformer(bias=True)
    net.attention = Doubled(bias=True)
    assert of(gauges(net), "value bias") == []


@pytest.mark.parametrize("masked", [False, True])
def test_attention_as_one_operator(masked: bool) -> None:
    class Fused(Attention):
        def forward(self, x: Tensor) -> Tensor:
            q, k, v = (own(x).unflatten(-1, (HEADS, SIZE)).transpose(1, 2) for own in (self.q, self.k, self.v))
            mask = torch.ones(5, 5, dtype=torch.bool).tril() if masked else None
            return self.o(F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).flatten(2))

    net = Transformer(bias=True)
    net.attention = Fused(bias=True)
    found = gauges(net)
    assert of(found, "GL(4) of queries") == [("attention.q", HEADS * SIZE**2)]
    assert of(found, "GL(4) of values") == [("attention.v", HEADS * SIZE**2)]
    assert of(found, "key bias") == [("attention.k.bias", HEADS * SIZE)]
    # Of a masked row nobody knows whether anything is left to weigh.
    assert of(found, "value bias") == ([] if masked else [("attention.v.bias", HEADS * SIZE)])


# All of them together: as many as the function's own directions of no change.


def directions(net: nn.Module, examples: Sequence[Tensor]) -> int:
    """In how many directions the parameters may go so that no output changes: the kernel of the Jacobian."""
    names, values = zip(*net.named_parameters(), strict=True)

    def outputs(*own: Tensor) -> Tensor:
        state = dict(zip(names, own, strict=True))
        return torch.cat([torch.func.functional_call(net, state, (example,)).flatten() for example in examples])

    parts = torch.autograd.functional.jacobian(outputs, tuple(values), vectorize=True)
    jacobian = torch.cat([part.flatten(1) for part in parts], 1)
    return jacobian.shape[1] - int(torch.linalg.matrix_rank(jacobian, rtol=1e-9))


def expected(net: nn.Module, example: Tensor) -> int:
    """The dimension of all freedoms: scales, and gauges without the scales that are in them."""
    found = trace(export(net, (example,)))
    size = {own.name: own for own in found.blocks}
    within = sum(size[own.where].units for own in found.gauges if own.kind.startswith("GL"))
    return found.logs.free - within + sum(own.dimension for own in found.gauges)


@pytest.mark.parametrize(
    "net",
    [
        pytest.param(Transformer(rotary=True, groups=1), id="rotary", marks=pytest.mark.slow),
        pytest.param(Transformer(nn.LayerNorm, bias=True), id="LayerNorm"),
        pytest.param(Transformer(Plain, tied=True), id="tied", marks=pytest.mark.slow),
        pytest.param(Transformer(), id="plain", marks=pytest.mark.slow),
        pytest.param(Transformer(bias=True), id="biases", marks=pytest.mark.slow),
        pytest.param(Transformer(rotary=True, qk_norm=True), id="norms of queries", marks=pytest.mark.slow),
        pytest.param(Transformer(tied=True, rotary=True), id="tied behind a gain", marks=pytest.mark.slow),
        pytest.param(Transformer(nn.LayerNorm, bias=True, tied=True), id="tied LayerNorm", marks=pytest.mark.slow),
        pytest.param(ReadInPart(), id="read in part", marks=pytest.mark.slow),
    ],
)
def test_there_are_as_many_freedoms_as_directions_of_no_change(net: nn.Module) -> None:
    random(net)
    generator = torch.Generator().manual_seed(1)
    examples = [torch.randint(VOCABULARY, (8, 5), generator=generator) for _ in range(4)]
    assert expected(net, examples[0]) == directions(net, examples)


# Linear layers one behind another, routers, recurrent layers.


def test_linear_layers_without_an_activation_take_any_matrix_between_them() -> None:
    net = random(nn.Sequential(nn.Linear(5, 3), nn.Identity(), nn.Linear(3, 4)))
    found = gauges(net, torch.zeros(2, 5))
    assert of(found, "GL(3) between linear layers") == [("0", 9)]
    assert of(found, "bias moved") == [("0.bias", 3)]
    matrix, shift = draw(3, 3), draw(3)
    other = copy.deepcopy(net)
    with torch.no_grad():
        other[0].weight.copy_(matrix @ net[0].weight)
        other[0].bias.copy_(matrix @ (net[0].bias + shift))
        other[2].weight.copy_(net[2].weight @ torch.linalg.inv(matrix))
        other[2].bias.sub_(net[2].weight @ shift)
    assert_same(net, other, draw(2, 5))


@pytest.mark.parametrize("between", [nn.ReLU(), nn.Tanh(), nn.BatchNorm1d(3), nn.Hardtanh()])
def test_anything_between_linear_layers_leaves_no_matrix(between: nn.Module) -> None:
    assert gauges(nn.Sequential(nn.Linear(5, 3), between, nn.Linear(3, 4)), torch.zeros(2, 5)) == ()


def test_low_rank_factors_beside_a_layer() -> None:
    class LowRank(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.full, self.down, self.up = nn.Linear(5, 4), nn.Linear(5, 2, bias=False), nn.Linear(2, 4, bias=False)

        def forward(self, x: Tensor) -> Tensor:
            return torch.relu(self.full(x) + 0.5 * self.up(self.down(x)))

    net = random(LowRank())
    assert [(own.where, own.dimension) for own in gauges(net, torch.zeros(2, 5))] == [("down", 4)]
    matrix = draw(2, 2)
    other = copy.deepcopy(net)
    with torch.no_grad():
        other.down.weight.copy_(matrix @ net.down.weight)
        other.up.weight.copy_(net.up.weight @ torch.linalg.inv(matrix))
    assert_same(net, other, draw(2, 5))


def test_a_bias_before_a_padded_convolution_stays() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 2, 3, padding=1))
    found = gauges(net, torch.zeros(1, 3, 5, 5))
    assert of(found, "GL(4)") == [("0", 16)]
    assert of(found, "bias") == []


def test_a_bias_along_another_axis_leaves_no_matrix() -> None:
    class Mixer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.channels, self.tokens, self.out = nn.Linear(5, 3), nn.Linear(4, 4), nn.Linear(3, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.out(self.tokens(self.channels(x).transpose(1, 2)).transpose(1, 2))

    assert of(gauges(Mixer(), torch.zeros(2, 4, 5)), "GL(3)") == []


class Experts(nn.Module):
    """A softmax over experts weighs what they make."""

    def __init__(self, *, shown: bool = False) -> None:
        super().__init__()
        self.router = nn.Linear(5, 3)
        self.experts = nn.ModuleList(nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 2)) for _ in range(3))
        self.shown = shown

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        scores = self.router(x)
        weights = torch.softmax(scores, dim=-1)
        made = torch.stack([own(x) for own in self.experts], dim=-1)
        out = (made * weights[:, None]).sum(-1)
        return (out, scores) if self.shown else out


def test_one_vector_may_be_added_to_all_rows_of_a_router() -> None:
    net = random(Experts())
    assert of(gauges(net, torch.zeros(2, 5)), "one vector") == [("router", 6)]
    other = copy.deepcopy(net)
    with torch.no_grad():
        other.router.weight.add_(draw(5))
        other.router.bias.add_(2)
    assert_same(net, other, draw(2, 5))


def test_a_router_whose_scores_are_shown_is_fixed() -> None:
    assert of(gauges(Experts(shown=True), torch.zeros(2, 5)), "one vector") == []


class Recurrent(nn.Module):
    def __init__(self, kind: type[nn.Module], **options: bool) -> None:
        super().__init__()
        self.rnn, self.head = kind(3, 4, batch_first=True, **options), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.rnn(x)[0][:, -1])


@pytest.mark.parametrize(("kind", "count"), [(nn.LSTM, 16), (nn.GRU, 8), (nn.RNN, 4)])
def test_recurrent_biases_are_only_seen_as_a_sum(kind: type[nn.Module], count: int) -> None:
    net = random(Recurrent(kind))
    found = of(gauges(net, torch.zeros(2, 5, 3)), "added to one bias")
    assert found == [("rnn.bias_ih_l0 and rnn.bias_hh_l0", count)]
    other, shift = copy.deepcopy(net), draw(count)
    with torch.no_grad():
        other.rnn.bias_ih_l0[:count].add_(shift)
        other.rnn.bias_hh_l0[:count].sub_(shift)
    assert_same(net, other, draw(2, 5, 3))


def test_a_recurrent_layer_without_biases_has_no_such_freedom() -> None:
    assert gauges(Recurrent(nn.LSTM, bias=False), torch.zeros(2, 5, 3)) == ()


def test_without_them_the_rest_is_the_same() -> None:
    graph = export(Attention().eval(), (torch.randn(1, 3, WIDTH),))
    all_of_it, rest = trace(graph), trace(graph, gauges=False)
    assert all_of_it.gauges
    assert not rest.gauges
    assert fingerprint(rest) == fingerprint(all_of_it)
