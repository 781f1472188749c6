"""A head for every classifier of pictures: it reads statistics that a network's group leaves alone, and, where it is known
how the network is run, its answers to a few pictures."""
