"""Programs to learn from. A package, so that no other `examples` hides it."""
