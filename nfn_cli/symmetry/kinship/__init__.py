"""What two checkpoints have to do with each other."""
