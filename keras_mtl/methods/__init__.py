"""What aggregators and weightings have in common."""
