"""Heads for any classifier: from labelled networks of many architectures to a fitted head, measured."""
