"""Fits the head for any classifier, and measures it on populations that it was not fitted to."""
