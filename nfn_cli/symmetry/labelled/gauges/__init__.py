"""Gauges: freedoms of a function that are no monomial matrices, and how nfn acts by them."""
