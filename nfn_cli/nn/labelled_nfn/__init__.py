"""Monomial-NFN for networks of any architecture: equivariant layers derived from labels, with shared parameters."""
