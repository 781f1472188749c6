"""Progress of long work, on stderr."""
