"""Heads that read implicit neural representations, and what they are made of. Importing this imports no torch."""
