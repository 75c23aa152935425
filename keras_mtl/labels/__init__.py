"""What a batch brings beside inputs: labels, their weights, their absence."""
