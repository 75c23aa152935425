"""Arithmetic on the gradients of tasks: no model, no method."""
