"""Places of the pixels of a picture, as `nfn zoo inr` fits them."""

from nfn_cli.architectures import pixel_grid

__all__ = ["pixel_grid"]
