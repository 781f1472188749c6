"""Pages for browsers: one file each, with nothing from the network and no script. No torch here."""
