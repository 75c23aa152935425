"""All that differs from one backend of Keras to another."""
