"""A head for every classifier of pictures.

It reads statistics that a network's group leaves alone, and, where it is known how the network is run, its answers to
some pictures.
"""
