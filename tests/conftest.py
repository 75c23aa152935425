"""What every test starts from: same seed, same precision, nothing left over."""

import gc
import os

from tests.xla_flags import xla_flags

# Read when the libraries are imported, so they come first.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("MPLBACKEND", "Agg")
# Golden values are of full float32.
os.environ.setdefault("NVIDIA_TF32_OVERRIDE", "0")
# Test processes that share a GPU must not each take all of its memory.
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
os.environ.setdefault("XLA_FLAGS", xla_flags())

from collections.abc import Iterator
from pathlib import Path

import keras
import pytest
import tensorflow as tf

CHECKOUT = Path(__file__).resolve().parent.parent
SHARED_TFDS = CHECKOUT.parent / "shared" / "data" / "tfds_prepared_small"

tf.config.experimental.enable_tensor_float_32_execution(False)
if keras.backend.backend() == "jax":
    import jax

    jax.config.update("jax_default_matmul_precision", "float32")
    # TensorFlow only feeds data there; the GPU is for JAX.
    tf.config.set_visible_devices([], "GPU")


def pytest_collection_finish() -> None:
    """Spares a sixth of the time: tracing makes objects that mostly stay."""
    gc.freeze()
    gc.set_threshold(200_000, 20, 100)


@pytest.fixture(autouse=True)
def fresh_keras() -> Iterator[None]:
    """Seeds every test alike and leaves no Keras state to the next one."""
    keras.utils.set_random_seed(0)
    yield
    keras.config.set_dtype_policy("float32")
    # Collecting garbage takes longer than most of the tests.
    keras.utils.clear_session(free_memory=False)


@pytest.fixture(scope="session")
def tfds_data_dir() -> str:
    """A tensorflow-datasets directory with prepared real data, or a skip."""
    given = os.environ.get("TFDS_DATA_DIR")
    if given:
        if not Path(given).is_dir():
            pytest.fail(f"TFDS_DATA_DIR is no directory. Received: {given!r}")
        return given
    if SHARED_TFDS.is_dir():
        return str(SHARED_TFDS)
    pytest.skip("no prepared data: set TFDS_DATA_DIR to a directory with it")
