"""Types that stand for what Keras gives no name to."""

from collections.abc import Sequence
from typing import Any

# A tensor of the backend; often also a NumPy array.
Tensor = Any
# Of a tensor; `None` for an axis whose length is not known yet.
Shape = Sequence[int | None]
# Of one variable: a tensor, or the rows of an embedding table (`Slices` or
# `SparseGradient` of `gradients.sparse`); `None` where no path leads to it.
Gradient = Any
# The gradients of one variable, a task each.
Column = Sequence[Gradient]
