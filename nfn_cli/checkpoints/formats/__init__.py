"""The formats of checkpoints: one file a format, and its entry in `registry`.

A format's file has the functions of `reader.Reader`: `read`, `read_all` and, where nfn writes it back, `rewrite`. Its
entry holds what is known of the format itself, such as its suffixes and first bytes, and needs no torch.

>>> from nfn_cli.checkpoints.formats.registry import FORMATS
>>> "safetensors" in [format.name for format in FORMATS]
True
"""
