"""Decoders by flags: one file a family, each from its configuration to the one description that `decoder` builds."""
