"""Fit Monomial-NFN for any architecture."""
