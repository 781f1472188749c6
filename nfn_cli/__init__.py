"""Read a trained network's weights like an instrument: symmetries, normal forms and invariant heads."""

__version__ = "0.1.0"
