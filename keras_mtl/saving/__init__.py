"""What files and clones of a model hold."""
