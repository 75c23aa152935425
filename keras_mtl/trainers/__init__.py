"""What `fit` does with a batch, from losses to one gradient."""
