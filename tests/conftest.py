"""What every test starts from: same seed, same precision, nothing left over.

And which tests `pytest` tries, and in how many processes.
"""

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
from typing import Any

import pytest

CHECKOUT = Path(__file__).resolve().parent.parent
SHARED = CHECKOUT.parent / "shared" / "data"
LEFT_OUT = pytest.StashKey[int]()


# -- tiers --------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--full",
        action="store_true",
        help="try the tests that are marked as slow, too",
    )


def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Leaves slow tests out, unless they are asked for."""
    by_name = any("::" in argument for argument in config.args)
    by_marker = "slow" in config.option.markexpr
    if config.option.full or by_name or by_marker:
        return
    slow = [item for item in items if item.get_closest_marker("slow")]
    config.stash[LEFT_OUT] = len(slow)
    if slow:
        config.hook.pytest_deselected(items=slow)
        items[:] = [i for i in items if not i.get_closest_marker("slow")]


def pytest_terminal_summary(
    terminalreporter: Any, config: pytest.Config
) -> None:
    count = config.stash.get(LEFT_OUT, 0)
    if count:
        terminalreporter.write_line(
            f"{count} deselected: pytest --full runs all"
        )


# -- processes ----------------------------------------------------------------


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """One process for single tests and files, and where output is wanted.

    Every process imports TensorFlow, which takes longer than most files, and
    none of them shows what a test prints.
    """
    paths = [argument.partition("::")[0] for argument in config.args]
    single = all(path.endswith(".py") for path in paths)
    if single or config.option.capture == "no":
        return 0
    # As many as there are processors.
    return None


def hands_out(config: pytest.Config) -> bool:
    """Whether the tests run in other processes than this."""
    is_worker = hasattr(config, "workerinput")
    return config.getoption("dist", "no") != "no" and not is_worker


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Tells the process that prints how many tests were left out."""
    if hasattr(session.config, "workeroutput"):
        left_out = session.config.stash.get(LEFT_OUT, 0)
        session.config.workeroutput["left_out"] = left_out


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    # All of them leave the same out; one that died does not say what.
    output = getattr(node, "workeroutput", {})
    if "left_out" in output:
        node.config.stash[LEFT_OUT] = output["left_out"]


# -- what every test starts from ----------------------------------------------


def pytest_configure(config: pytest.Config) -> None:
    if not hands_out(config):
        ask_for_full_precision()


def ask_for_full_precision() -> None:
    # Imported here, for who only hands tests out would wait for them first.
    import keras
    import tensorflow as tf

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
    import keras

    keras.utils.set_random_seed(0)
    yield
    keras.config.set_dtype_policy("float32")
    # Collecting garbage takes longer than most of the tests.
    keras.utils.clear_session(free_memory=False)


@pytest.fixture
def no_garbage_collection(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests that quantize: Keras collects garbage after every layer.

    Where other tests have run before, each time takes a second or more.
    """
    monkeypatch.setattr(gc, "collect", lambda generation=2: 0)


@pytest.fixture(scope="session")
def tfds_data_dir() -> str:
    """A tensorflow-datasets directory with prepared real data, or a skip."""
    return real_data("TFDS_DATA_DIR", "tfds_prepared_small")


@pytest.fixture(scope="session")
def census_income_dir() -> str:
    """The directory of the files of Census-Income (KDD), or a skip."""
    return real_data("CENSUS_INCOME_DIR", "raw/census_income")


def real_data(variable: str, place: str) -> str:
    """The directory in a variable of the environment, or beside the checkout.

    `.ci/run`, which tests a clone that lies elsewhere, sets the variables.
    """
    given = os.environ.get(variable)
    if given:
        if not Path(given).is_dir():
            pytest.fail(f"{variable} is no directory. Received: {given!r}")
        return given
    if (SHARED / place).is_dir():
        return str(SHARED / place)
    pytest.skip(f"no real data: set {variable} to a directory with it")
