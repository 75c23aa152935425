"""The private names of Keras that the training step leans on, in one place.

Keras offers no public way to the losses of single outputs, nor to a functional
model's class. `tests/test_contract.py` notices when one of these changes.
"""

from keras.src.backend import compute_output_spec
from keras.src.backend.common import global_state
from keras.src.backend.common.masking import get_keras_mask
from keras.src.backend.common.symbolic_scope import in_symbolic_scope
from keras.src.losses.loss import unscale_loss_for_distribution
from keras.src.models.functional import Functional
from keras.src.trainers.compile_utils import CompileLoss
from keras.src.trainers.compile_utils import CompileMetrics
from keras.src.tree.tree_api import flatten_with_path

__all__ = [
    "CompileLoss",
    "CompileMetrics",
    "Functional",
    "compute_output_spec",
    "flatten_with_path",
    "get_keras_mask",
    "in_legacy_saving",
    "in_symbolic_scope",
    "unscale_loss_for_distribution",
]


def in_legacy_saving() -> bool:
    """Whether Keras is writing or reading a legacy `.h5` file."""
    return bool(global_state.get_global_attribute("use_legacy_config", False))
