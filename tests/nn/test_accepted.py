"""What a head accepts, and what it says of what it does not."""

from __future__ import annotations

import pytest

from nfn_cli.architectures import Architecture, Layer, chain
from nfn_cli.errors import HeadError
from nfn_cli.nn import Accepted, choose_head
from nfn_cli.nn.accepted import ANY_CLASSIFIER


def lenet(
    *, first: int = 1, kernel: tuple[int, ...] = (5, 5), spatial: int = 16, classes: int = 10, activation: str = "relu"
) -> Architecture:
    return chain(
        [
            Layer("conv1", "conv", first, 6, kernel),
            Layer("conv2", "conv", 6, 16, (5, 5)),
            Layer("fc1", "linear", 16 * spatial, 120, (), spatial),
            Layer("fc2", "linear", 120, classes),
        ],
        activation=activation,
    )


def test_hidden_widths_are_free() -> None:
    other = chain(
        [
            Layer("a", "conv", 1, 3, (5, 5)),
            Layer("b", "conv", 3, 4, (5, 5)),
            Layer("c", "linear", 64, 5, (), 16),
            Layer("d", "linear", 5, 10),
        ],
        activation="relu",
    )
    assert Accepted.of(lenet()).mismatch(other) is None


@pytest.mark.parametrize(
    ("other", "layer"),
    [
        (lenet(first=3), "layer conv1 is conv 5x5 from 3, the head reads conv 5x5 from 1"),
        (lenet(kernel=(3, 3)), "layer conv1 is conv 3x3 from 1, the head reads conv 5x5 from 1"),
        (
            lenet(spatial=25),
            "layer fc1 is linear after a flatten of 25 positions,"
            " the head reads linear after a flatten of 16 positions",
        ),
        (lenet(classes=100), "layer fc2 is linear to 100, the head reads linear to 10"),
        (lenet(activation="tanh"), "the activation is tanh, the head reads relu"),
    ],
    ids=["inputs", "kernel", "flatten", "classes", "activation"],
)
def test_a_mismatch_names_the_first_layer_that_differs(other: Architecture, layer: str) -> None:
    assert Accepted.of(lenet()).mismatch(other) == layer


def test_another_depth_is_named() -> None:
    shorter = chain([Layer("a", "linear", 2, 3), Layer("b", "linear", 3, 4)], activation="relu")
    longer = chain(
        [Layer("a", "linear", 2, 3), Layer("b", "linear", 3, 4), Layer("c", "linear", 4, 4)], activation="relu"
    )
    assert Accepted.of(longer).mismatch(shorter) is not None
    assert "layer b" in str(Accepted.of(shorter).mismatch(longer))


def test_the_record_comes_back() -> None:
    accepted = Accepted.of(lenet())
    assert Accepted.from_record(accepted.to_record()) == accepted


def test_the_example_is_accepted() -> None:
    accepted = Accepted.of(lenet())
    assert accepted.mismatch(chain(accepted.example(), activation="relu")) is None


def test_the_head_that_fits_is_chosen() -> None:
    configs = {name: Accepted.of(lenet(activation=name)) for name in ("relu", "tanh")}
    assert choose_head(lenet(activation="tanh"), configs) == ("tanh", lenet(activation="tanh"))
    # Where nobody knows the activation, the first head that reads the layers decides it.
    assert choose_head(lenet(activation="identity"), configs, assume_activation=True) == ("relu", lenet())


def test_where_none_fits_the_first_of_equally_near_ones_says_why() -> None:
    configs = {
        "a": Accepted.of(lenet()),
        "b": Accepted.of(lenet(first=3)),
    }
    with pytest.raises(HeadError) as refused:
        choose_head(lenet(first=4), configs)
    assert "nearest a: layer conv1 is conv 5x5 from 4, the head reads conv 5x5 from 1; 1 other" in str(refused.value)
    assert refused.value.remedy == "fit one of your own with `nfn train` and name it with --head"


def test_the_command_that_fits_such_heads_is_advised() -> None:
    with pytest.raises(HeadError) as refused:
        choose_head(lenet(), {}, fitted_by="nfn train-inr")
    assert refused.value.remedy == "fit one of your own with `nfn train-inr` and name it with --head"


def test_the_head_that_differs_least_is_the_nearest() -> None:
    heads = {
        "far": Accepted.of(chain([Layer("a", "linear", 3, 2)], activation="tanh")),
        "near": Accepted.of(lenet(activation="tanh")),
        "alike": Accepted.of(lenet(classes=7)),
    }
    with pytest.raises(HeadError, match="no head reads this network") as refused:
        choose_head(lenet(), heads)
    assert "(nearest near: the activation is relu, the head reads tanh; 2 other heads do not, either)" in str(
        refused.value
    )
    with pytest.raises(HeadError) as refused:
        choose_head(lenet(), {"far": heads["far"]})
    assert "(nearest far: layer conv1 is conv 5x5 from 1, the head reads linear from 3 to 2)" in str(refused.value)


def test_all_differences_are_found_and_the_first_is_the_mismatch() -> None:
    accepted = Accepted.of(lenet(kernel=(3, 3), classes=7, activation="tanh"))
    found = accepted.differences(lenet())
    assert [part.split(",")[0] for part in found] == [
        "layer conv1 is conv 5x5 from 1",
        "layer fc2 is linear to 10",
        "the activation is relu",
    ]
    assert accepted.mismatch(lenet()) == found[0]
    assert Accepted.of(lenet()).differences(lenet()) == ()


def test_any_classifier_is_read_whatever_its_layers() -> None:
    assert ANY_CLASSIFIER.is_any and not Accepted.of(lenet()).is_any
    for own in (lenet(), lenet(first=3, classes=100), lenet(activation="tanh")):
        assert ANY_CLASSIFIER.mismatch(own) is None
    assert Accepted.from_record(ANY_CLASSIFIER.to_record()) == ANY_CLASSIFIER
    assert ANY_CLASSIFIER.to_record() == {"any": "classifier"}
    assert ANY_CLASSIFIER.example_architecture().layers[-1].out_features == 2


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (lenet(activation="sin"), "its activation is sin, as implicit neural representations have it"),
        (lenet(classes=1), "it has 1 output, not 2 to 1,000 classes"),
        (lenet(first=16), "its first layer, conv1, reads 16 channels, more than pictures have"),
        (lenet(classes=21_841), "it has 21,841 outputs, not 2 to 1,000 classes"),
    ],
    ids=["sines", "one output", "channels", "words"],
)
def test_what_is_no_classifier_is_not_read_as_any(other: Architecture, reason: str) -> None:
    assert ANY_CLASSIFIER.mismatch(other) == reason


def test_a_head_for_any_classifier_is_not_chosen_for_weights() -> None:
    with pytest.raises(HeadError, match="no head reads this network"):
        choose_head(lenet(first=3), {"any": ANY_CLASSIFIER, "own": Accepted.of(lenet())})
