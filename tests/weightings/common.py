"""What tests of several weightings do alike."""

from typing import Any

import numpy as np
from keras import ops

from keras_mtl.weightings import Weighting


def weights_of(weighting: Weighting, losses: Any) -> np.ndarray:
    """The weights of these losses, one for each task."""
    losses = ops.convert_to_tensor(np.asarray(losses, "float32"))
    return ops.convert_to_numpy(weighting.weights(losses))
