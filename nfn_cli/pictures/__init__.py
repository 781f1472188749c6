"""Pictures of implicit neural representations: as tensors, as contact sheets, and in the terminal.

>>> import torch
>>> from nfn_cli.architectures import Layer, NetworkWeights, chain
>>> layers = chain([Layer("0", "linear", 2, 1)], activation="sin")
>>> row = NetworkWeights(layers, {"0.weight": torch.tensor([[[1.0, 0.0]]]), "0.bias": torch.zeros(1, 1)})
>>> render(row, 3, 2)  # the row's coordinate: it brightens downwards
tensor([[[[0.0000, 0.0000],
          [0.5000, 0.5000],
          [1.0000, 1.0000]]]])
"""

from nfn_cli.pictures.caption import Caption
from nfn_cli.pictures.gallery import Assumed, Drawn, DrawSettings, drawn, gathered
from nfn_cli.pictures.render import render, require_picture, require_size
from nfn_cli.pictures.sheet import contact_sheet, picture_image, png_bytes, require_pillow, save_png
from nfn_cli.pictures.terminal import terminal_lines

__all__ = [
    "Assumed",
    "Caption",
    "DrawSettings",
    "Drawn",
    "contact_sheet",
    "drawn",
    "gathered",
    "picture_image",
    "png_bytes",
    "render",
    "require_picture",
    "require_pillow",
    "require_size",
    "save_png",
    "terminal_lines",
]
