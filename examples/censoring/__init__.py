"""The experiments of "Censoring the auxiliary loss gradient"."""
