"""Refuse, by their names, layers whose shapes fit a chain although they are used otherwise.

The query, key and value of an attention, a residual block or an adapter often are square matrices, one behind the
other in the file: tensors alone would read them as a chain.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from nfn_cli.architectures.modules import Weighted
from nfn_cli.errors import ArchitectureError

# Each is looked for between characters that are no letters.
_TELLING = {
    "an attention": r"attn|attention|mha|qkv|[qk]_proj|to_[qk]|w_?[qk]|query|key",
    "an embedding": r"wte|wpe|pos_emb|pos_embed|embed_tokens|position_embeddings|word_embeddings|token_embeddings",
    "a branch": r"shortcut|skip|skip_conn|skip_connection|residual|branch|identity_conv",
    "a gate": r"gate|gates|gating",
    "an adapter": r"lora|lora_a|lora_b|adapter|adapters",
    "a bilinear layer": r"bilinear",
    "a recurrent cell": r"rnn|lstm|gru|recurrent|h2h|w_?hh",
    "a transposed convolution": r"deconv|convt|tconv|upconv|up_conv|convtranspose|conv_transpose|conv_trans",
}
_PATTERNS = {what: re.compile(rf"(?<![a-z])(?:{words})(?![a-z])", re.IGNORECASE) for what, words in _TELLING.items()}
# The residual blocks of torchvision and its many copies.
_PATTERNS["a residual block"] = re.compile(r"(?:^|\.)layer\d+\.\d+\.conv\d")
_EMBEDDING = re.compile(r"(?<![a-z])(?:emb|embed|embeds|embedding|embeddings)(?![a-z])", re.IGNORECASE)


def refuse_foreign(path: Path, layers: Sequence[Weighted]) -> None:
    """Check that no layer's name belongs to something that is no chain.

    Raises:
        ArchitectureError: naming the layer and what it seems to be.
    """
    for layer in layers:
        found = next((what for what, pattern in _PATTERNS.items() if pattern.search(layer.name)), None)
        # A linear layer may embed its inputs, but it has a bias, or is no matrix of a vocabulary.
        if layer.bias is None and layer.weight.ndim == 2 and _EMBEDDING.search(layer.name):
            found = "an embedding"
        if found:
            cause = f"{layer.name} seems to be part of {found}, which is no chain of layers"
            raise ArchitectureError(path, cause, "nfn reads chains of Linear and Conv1d/2d/3d layers")
