"""Wild classifiers: networks of random architecture, each a real module whose forward pass is recorded beside it."""
