"""Populations of implicit neural representations: one SIREN a picture. `nfn_cli.zoo` has the public names."""
