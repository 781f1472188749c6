"""The user's module, from a factory in a file or in a module."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from nfn_cli.architectures.tracing.inputs import example_of, examples, with_random_numbers
from nfn_cli.architectures.tracing.user_module import load_user_module, without_caches
from nfn_cli.errors import UsageError

FILE = """
from __future__ import annotations
import os, sys
from dataclasses import dataclass
import torch
from torch import nn
from sibling import WIDTH

@dataclass
class Config:
    width: "int" = WIDTH

class Net(nn.Module):
    def __init__(self, width=WIDTH):
        super().__init__()
        self.fc = nn.Linear(Config().width, width)
    def forward(self, x, y=None):
        return self.fc(x)

class Needs(nn.Module):
    def __init__(self, width):
        super().__init__()

class Space:
    make = staticmethod(Net)

X = torch.zeros(2, WIDTH)
ready = Net()
def function(): return Net()
def tensor(): return Net(), X
def several(): return Net(), (X, X)
def named(): return Net(), {"x": X, "y": torch.arange(3)}
def both(): return Net(), ((X,), {"y": X})
def nothing(): return Net(), None
def wrapped(): return torch.compile(nn.DataParallel(Net()))
def wandering():
    os.chdir("/")
    sys.path.clear()
    print("hello")
    return Net()

def number(): return 7
number_itself = 7
def three(): return Net(), X, X
def no_tensors(): return Net(), (1, 2)
def odd_inputs(): return Net(), [X]
def odd_names(): return Net(), {1: X}
def failing(): raise RuntimeError("\\nno luck\\ntoday")
def silent(): raise KeyError
def leaving(): sys.exit(3)
class Rude(BaseException): pass
def rude(): raise Rude("go")
class Worse(Exception):
    def __str__(self): raise ValueError
def worse(): raise Worse
class Stubborn(Net):
    def train(self, mode=True): raise RuntimeError("never")
def stubborn(): return Stubborn()
class Deaf(Net):
    def train(self, mode=True): return self
def interrupted(): raise KeyboardInterrupt
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    folder = tmp_path / "of theirs"
    folder.mkdir()
    (folder / "sibling.py").write_text("WIDTH = 4\n")
    (folder / "model.py").write_text(FILE)
    sys.modules.pop("sibling", None)
    return folder / "model.py"


@pytest.mark.parametrize(
    ("name", "args", "kwargs"),
    [
        ("ready", None, None),
        ("function", None, None),
        ("Net", None, None),
        ("Space.make", None, None),
        ("nothing", None, None),
        ("wrapped", None, None),
        ("tensor", 1, []),
        ("several", 2, []),
        ("named", 0, ["x", "y"]),
        ("both", 1, ["y"]),
    ],
)
def test_factories(file: Path, name: str, args: int | None, kwargs: list[str] | None) -> None:
    made = load_user_module(f"{file}:{name}")
    assert type(made.module).__name__ == "Net"
    assert not made.module.training
    if args is None or kwargs is None:
        assert made.example is None
    else:
        assert made.example is not None
        assert len(made.example.args) == args
        assert list(made.example.kwargs) == kwargs
        assert made.example.assumed is None


def test_the_program_stays_as_it_was(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    here, path = Path.cwd(), list(sys.path)
    try:
        load_user_module(f"{file}:wandering")
        assert sys.path == []
    finally:
        sys.path[:] = path
    assert Path.cwd() == here
    load_user_module(f"{file}:function")
    assert sys.path == path
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "hello\n")


def test_a_file_hides_no_module_of_its_name(file: Path) -> None:
    hiding = file.with_name("json.py")
    hiding.write_text(FILE)
    load_user_module(f"{hiding}:Net")
    assert sys.modules["json"].__file__ != str(hiding)


def test_a_module_of_the_current_directory(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(file.parent)
    file.rename("of_the_current_directory.py")
    assert load_user_module("of_the_current_directory:Net").spec == "of_the_current_directory:Net"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("number", "returns a int; return a torch.nn.Module, or (module, example inputs)"),
        ("number_itself", "returns a int"),
        ("three", "returns a tuple of (Net, Tensor, Tensor)"),
        ("no_tensors", "returns example inputs without a tensor; give a tensor, a tuple"),
        ("odd_inputs", "returns example inputs that are a list"),
        ("odd_names", "returns keyword arguments of odd names"),
        ("failing", "cannot be made (RuntimeError: no luck; model.py, line 48)"),
        ("silent", "cannot be made (KeyError; model.py"),
        ("leaving", "cannot be made (SystemExit: 3; model.py"),
        ("rude", "cannot be made (Rude: go"),
        ("worse", "cannot be made (Worse; model.py"),
        ("stubborn", "cannot be set to evaluate (RuntimeError: never)"),
        ("Deaf", "stays in training mode behind eval(); make eval() work"),
        ("missing", "model.py has no missing; name a function in it that makes the module"),
        ("Space.missing", "model.py has no Space.missing"),
        ("Needs", "cannot be made (TypeError: "),
        ("Needs", "make that work as a call without arguments"),
    ],
)
def test_a_factory_that_makes_no_module(file: Path, name: str, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_user_module(f"{file}:{name}")
    text = str(caught.value)
    assert text.startswith("--model: ")
    assert told in text
    assert "\n" not in text


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("nothing", "'nothing' names no factory; write FILE.py:FACTORY"),
        (":make", "names no factory"),
        ("model.py:", "names no factory"),
        ("none.py:make", "none.py: no such file"),
        ("of/theirs:make", "of/theirs: no such file"),
        ("broken.py:make", "broken.py cannot be imported (SyntaxError: "),
        ("no_such_module_of_ours:make", "cannot be imported (ModuleNotFoundError"),
        ("noted/text.txt:make", "noted/text.txt cannot be imported (ImportError: text.txt is no Python file"),
    ],
)
def test_what_is_no_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: str, told: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("broken.py").write_text("def make(:\n")
    Path("noted").mkdir()
    Path("noted/text.txt").write_text("make = 1")
    before = set(sys.modules)
    with pytest.raises(UsageError) as caught:
        load_user_module(spec)
    assert told in str(caught.value)
    assert not {name for name in set(sys.modules) - before if name.startswith("_nfn_user_module")}


def test_an_interrupt_passes(file: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        load_user_module(f"{file}:interrupted")


def test_caches_are_off() -> None:
    class Frozen:
        use_cache = property(lambda self: True)

    model, inner = nn.Module(), nn.Module()
    text = SimpleNamespace(use_cache=True)
    model.config = SimpleNamespace(use_cache=True, text_config=text, vision_config=None, use_sliding=True)
    text.parent_config = model.config  # a circle
    inner.config = SimpleNamespace(use_cache=True)
    model.inner, model.other = inner, nn.Module()
    model.other.config = Frozen()
    without_caches(model)
    assert (model.config.use_cache, text.use_cache, inner.config.use_cache) == (False, False, False)
    assert model.config.use_sliding


@pytest.mark.parametrize(
    ("layer", "first", "dtype"),
    [
        (nn.Linear(5, 2), (2, 5), torch.float32),
        (nn.Linear(5, 2, dtype=torch.bfloat16), (2, 5), torch.bfloat16),
        (nn.Conv2d(3, 4, 3), (2, 3, 28, 28), torch.float32),
        (nn.ConvTranspose1d(3, 4, 3), (2, 3, 28), torch.float32),
        (nn.Embedding(9, 4), (2, 8), torch.int64),
        (nn.GRU(6, 4), (2, 8, 6), torch.float32),
        (nn.Bilinear(3, 4, 5), (2, 3, 28), torch.float32),
    ],
    ids=lambda value: type(value).__name__,
)
def test_inputs_of_a_first_layer(layer: nn.Module, first: tuple[int, ...], dtype: torch.dtype) -> None:
    found = next(examples(nn.Sequential(nn.ReLU(), layer)))
    assert (found.args[0].shape, found.args[0].dtype) == (first, dtype)
    told = "tokens" if dtype is torch.int64 else "inputs"
    assert found.assumed == f"{told} of {'x'.join(map(str, first))}"


def test_inputs_of_a_told_shape_and_of_none() -> None:
    (only,) = examples(nn.Conv2d(3, 4, 3), (3, 9, 7))
    assert (only.args[0].shape, only.assumed) == ((2, 3, 9, 7), None)
    assert list(examples(nn.ReLU())) == []


def test_zeros_as_examples_become_numbers() -> None:
    mask, tokens = torch.tensor([0.0, 1.0]), torch.zeros(3, dtype=torch.int64)
    given = example_of(((torch.zeros(2, 3), [mask]), {"tokens": tokens, "flag": True}))
    filled = with_random_numbers(given, torch.Generator().manual_seed(0))
    assert filled.args[0].unique().numel() == 6
    assert filled.args[1][0] is mask
    assert filled.kwargs["tokens"] is tokens
    assert given.args[0].count_nonzero() == 0
