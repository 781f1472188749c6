"""Published zoos in their own formats, written as packed zoos for `read_networks`.

>>> from nfn_cli.zoo import Selection
>>> Selection(activation="relu", epochs=(86,)).last
False
"""
