"""All that differs from one backend of Keras to another.

A backend supplies what `neutral` lists, and does no more than differentiate,
run, compile and add up: what a training step *is* stands in `trainers/step.py`,
once. As in Keras, the functions of the backend at hand are those of this
package.
"""

import keras

from keras_mtl.backend.neutral import *  # noqa: F403

if keras.backend.backend() == "tensorflow":
    from keras_mtl.backend.tensorflow import *  # noqa: F403
elif keras.backend.backend() == "jax":
    from keras_mtl.backend.jax import *  # noqa: F403
elif keras.backend.backend() == "torch":
    from keras_mtl.backend.torch import *  # noqa: F403
