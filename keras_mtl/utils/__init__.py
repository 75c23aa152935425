"""What knows Keras, and no task."""
