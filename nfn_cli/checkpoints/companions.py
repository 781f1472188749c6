"""The files that training programs save beside a checkpoint, and that hold no network. No torch here."""

from __future__ import annotations

import re

# `_1` and so on: of the second optimizer, process and the like.
_COMPANIONS = (
    # The Trainer of Hugging Face transformers.
    r"optimizer\.(pt|bin)",
    r"scheduler\.pt",
    r"scaler\.pt",
    r"rng_state(_[0-9]+)?\.pth",
    r"training_args\.bin",
    # accelerate's save_state.
    r"optimizer_[0-9]+\.bin",
    r"scheduler(_[0-9]+)?\.bin",
    r"(sampler|dl_state_dict)(_[0-9]+)?\.bin",
    r"random_states_[0-9]+\.pkl",
    # DeepSpeed, in its folders `global_step*`. Beside them, `*_model_states.pt` holds the network.
    r".+_optim_states\.pt",
)
_COMPANION = re.compile("|".join(_COMPANIONS))


def is_companion(name: str) -> bool:
    """Whether a file is called like an optimizer's or scheduler's state, random numbers' state or arguments.

    >>> is_companion("optimizer.pt"), is_companion("rng_state_3.pth"), is_companion("my_optimizer.pt")
    (True, True, False)
    """
    return _COMPANION.fullmatch(name) is not None
