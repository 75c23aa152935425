"""Measurements. A package, so that no other `benchmarks` hides it."""
