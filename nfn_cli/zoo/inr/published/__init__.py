"""Published sets of SIRENs in their own layouts, written as packed zoos for `read_inrs`."""
