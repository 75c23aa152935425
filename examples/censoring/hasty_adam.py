"""An Adam that forgets too soon that its averages started at zero."""

from typing import Any

import keras
from keras import ops


class HastyAdam(keras.optimizers.Adam):
    """Adam whose bias correction takes every variable for a step of its own.

    With n variables the correction runs out n times too soon; as the average
    of the squares is then still too small, steps are up to three times as
    long for the first hundreds of steps. Most numbers of the paper's
    experiment 2 come out with it, and not with Adam. Neither the author's
    text nor his code says so: what happened to his runs we do not know.
    """

    def update_step(
        self, gradient: Any, variable: keras.Variable, learning_rate: Any
    ) -> None:
        index = self._get_variable_index(variable)
        count = len(self._trainable_variables)
        step = ops.cast(self.iterations, "float32") * count + index + 1
        correction = ops.sqrt(1 - self.beta_2**step) / (1 - self.beta_1**step)
        mean, square = self._momentums[index], self._velocities[index]
        mean.assign_add((gradient - mean) * (1 - self.beta_1))
        square.assign_add((ops.square(gradient) - square) * (1 - self.beta_2))
        length = ops.sqrt(square) + self.epsilon
        variable.assign_sub(learning_rate * correction * mean / length)
