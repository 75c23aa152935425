"""Where methods that take a preference end, along preference rays."""
