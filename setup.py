"""Packaging of keras_mtl: the one place that says what it needs and why."""

import re
from pathlib import Path

import setuptools

ROOT = Path(__file__).parent

# The lower bounds are the oldest releases on which the tests have passed, all
# of them together.
REQUIRED = [
    # The main backend. tf.data and TensorBoard files come from it on JAX too.
    "tensorflow>=2.20",
    # The training step leans on private names of Keras. They are as expected
    # from 3.15 on; the next major version may move them.
    "keras>=3.15,<4",
    "numpy>=2.0",
    # Looks into files of weights before Keras, which needs it as well.
    "h5py>=3.14",
    # Flags and logging of the examples and benchmarks.
    "absl-py>=2.0",
    # keras_mtl.datasets; imported only when a data set is asked for.
    "tensorflow-datasets>=4.9.10",
    # tensorflow-datasets imports it and forgets to say so.
    "importlib_resources>=6.0",
]

# Shows and reads the event files that keras_mtl.callbacks writes;
# TensorFlow stopped installing it with 2.21.
TENSORBOARD = "tensorboard>=2.20"

# The Gaussian processes with which `selection.MixingRatioSearch` looks for the
# best mix of tasks, and areas under ROC curves in an example.
SCIKIT_LEARN = "scikit-learn>=1.6"

# Keeps two processes from one file: the state of `selection.BanditSelection`,
# the results of `selection.MixingRatioSearch` and of the examples. Older ones
# do not see that a lock file was removed while they waited for it.
FILELOCK = "filelock>=3.24.3"

# Optima that the solvers are tested against; intervals and tests of
# `keras_mtl.pareto`, whose resampling takes `rng` from 1.15 on.
SCIPY = "scipy>=1.15"

# Hypervolumes and other indicators of fronts. Its licence is the LGPL, and
# nothing of it is copied here: who asks for this extra installs it beside.
MOOCORE = "moocore>=0.3"

# Suggests the settings that `keras_mtl.comparison` tries, and keeps its trials.
OPTUNA = "optuna>=4.0"

# Figures.
MATPLOTLIB = "matplotlib>=3.10"

EXTRAS = {
    "test": [
        "pytest>=8.4",
        # `.ci/run` shares the tests among processes.
        "pytest-xdist>=3.6.1",
        # Draws the models, losses and methods of tests/generated.
        "hypothesis>=6.170",
        SCIPY,
        # The figures of the examples and callbacks are tested.
        MATPLOTLIB,
        # Reads the event files back.
        TENSORBOARD,
        # The search for mixing ratios is tested.
        SCIKIT_LEARN,
        # Fronts of `keras_mtl.pareto` are tested.
        MOOCORE,
        # Methods are compared, and what a study holds is read.
        OPTUNA,
        # Exporting to ONNX is tested, on TensorFlow.
        "onnx>=1.19",
        "tf2onnx>=1.17",
        # Two processes on one file are tested.
        FILELOCK,
        # `.ci/run` checks style with it; another minor version may format
        # differently.
        "ruff~=0.17.0",
        # It also checks types, where pyproject.toml says.
        "mypy>=1.18.1",
    ],
    # `examples/` save their results as figures; some measure areas under ROC
    # curves, tune methods, or test what is chance. Several processes may share
    # the runs.
    "examples": [MATPLOTLIB, SCIKIT_LEARN, SCIPY, FILELOCK, MOOCORE, OPTUNA],
    # For fronts: their hypervolumes, the statistics of seeds, and pictures.
    # An Optuna study is read as it is.
    "pareto": [MOOCORE, SCIPY, MATPLOTLIB],
    # For comparing methods on a model of one's own: trials that processes
    # share, intervals of what they differ by, and a picture.
    "comparison": [OPTUNA, FILELOCK, SCIPY, MATPLOTLIB],
    # For searching the ratios in which to mix tasks, and for a bandit that is
    # to go on where it was killed.
    "selection": [SCIKIT_LEARN, FILELOCK],
    # For looking at the cosines, gradient norms and weights of a run.
    "tensorboard": [TENSORBOARD],
    # Peers that `benchmarks/` measure keras_mtl beside; left out of the tables
    # where they are not installed. "full" brings the solvers that some of
    # TorchJD's methods call.
    "benchmarks": ["torch>=2.3", "torchjd[full]>=0.18"],
    # Another backend: KERAS_BACKEND=jax. For a GPU install jax[cuda12]
    # or jax[cuda13] as well.
    "jax": ["jax>=0.7"],
    # One more: KERAS_BACKEND=torch. The default build is for CUDA, and large.
    "torch": ["torch>=2.6"],
}


def read_version() -> str:
    # Importing the package would import TensorFlow.
    text = (ROOT / "keras_mtl" / "version.py").read_text(encoding="utf-8")
    return re.search(r'__version__ = "(.+)"', text).group(1)


def describe() -> str:
    """The README for where its neighbours are not: links only to the net."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    nearby = r"\((?!https?://)[^)]*\)"
    text = re.sub(rf"^!\[[^\]]*\]{nearby}\n+", "", text, flags=re.MULTILINE)
    return re.sub(rf"\[([^\]]*)\]{nearby}", r"\1", text)


setuptools.setup(
    name="keras_mtl",
    version=read_version(),
    description="Multi-task learning inside model.fit, for Keras 3",
    long_description=describe(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    keywords="keras tensorflow jax pytorch multi-task-learning pcgrad mgda",
    classifiers=[
        "Development Status :: 4 - Beta",
        "Intended Audience :: Developers",
        "Intended Audience :: Science/Research",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Typing :: Typed",
    ],
    python_requires=">=3.11",
    # `examples` and `benchmarks` run from a checkout. Installed, such general
    # names would get into the way of other projects.
    packages=setuptools.find_packages(include=["keras_mtl", "keras_mtl.*"]),
    package_data={"keras_mtl": ["py.typed"]},
    install_requires=REQUIRED,
    extras_require=EXTRAS,
)
