"""The model and the data of a case."""

from typing import Any

import keras
import numpy as np
from keras import layers
from keras import ops

from keras_mtl import add_self_auxiliaries
from tests.generated.cases import ROWS
from tests.generated.cases import Case

WIDTH = 5
LENGTH = 4
WORDS = 7
SHAPES = {
    "vector": (3,),
    "image": (4, 4, 1),
    "words": (LENGTH,),
    "looked_up_twice": (LENGTH,),
    "masked_words": (LENGTH,),
    "series": (LENGTH, 3),
}
WORD_INPUTS = ("words", "looked_up_twice", "masked_words")
ACTIVATIONS = {"kld": "softmax", "poisson": "softplus"}
AUXILIARY_WEIGHT = 0.5
Tensor = Any


class Penalty(layers.Layer):
    """A loss that belongs to no task."""

    def call(self, inputs: Tensor) -> Tensor:
        self.add_loss(0.1 * ops.mean(ops.square(inputs)))
        return inputs


class Parts:
    """The layers of a case, and how they follow each other.

    Args:
        case: The case.
        slow: Whether recurrent layers are unrolled.
    """

    def __init__(self, case: Case, slow: bool = False):
        self.case = case
        self.slow = slow
        names = [f"{kind}_{i}" for i, kind in enumerate(case.trunk)]
        self.first = self._first()
        self.trunk = [
            self._make(*pair) for pair in zip(case.trunk, names, strict=True)
        ]
        self.pool = self._pool()
        self.shared = _dense("shared")
        self.branch = _dense("branch") if case.branch else None
        self.heads = {
            name: layers.Dense(
                output.units,
                activation=_activation(output.losses),
                name=name,
            )
            for name, output in case.named_outputs
        }

    def _first(self) -> layers.Layer:
        kind = self.case.inputs
        if kind == "image":
            return layers.Conv2D(WIDTH, 2, activation="tanh", name="first")
        if kind in WORD_INPUTS:
            masked = kind == "masked_words"
            return layers.Embedding(
                WORDS, WIDTH, mask_zero=masked, name="first"
            )
        return _dense("first")

    def _make(self, kind: str, name: str) -> layers.Layer:
        recurrent = {
            "lstm": layers.LSTM,
            "gru": layers.GRU,
            "rnn": layers.SimpleRNN,
        }
        if kind in recurrent:
            return recurrent[kind](
                WIDTH, return_sequences=True, unroll=self.slow, name=name
            )
        if kind == "conv":
            conv = (
                layers.Conv2D if self.case.inputs == "image" else layers.Conv1D
            )
            return conv(WIDTH, 2, padding="same", activation="tanh", name=name)
        return {
            "dense": lambda: _dense(name),
            "twice": lambda: _dense(name),
            "l2": lambda: _dense(name, kernel_regularizer="l2"),
            "activity": lambda: _dense(name, activity_regularizer="l2"),
            "penalty": lambda: Penalty(name=name),
            "layer_norm": lambda: layers.LayerNormalization(name=name),
            "batch_norm": lambda: layers.BatchNormalization(name=name),
            "dropout": lambda: layers.Dropout(0.0, name=name),
            "nested": lambda: _nested(name),
        }[kind]()

    def _pool(self) -> layers.Layer | None:
        if self.case.inputs == "vector":
            return None
        if self.case.inputs == "image":
            return layers.Flatten(name="pool")
        return layers.GlobalAveragePooling1D(name="pool")

    def lead_up(self, x: Tensor) -> Tensor:
        """From the inputs to the layer that everything shares."""
        tensor = self.first(x)
        if self.case.inputs == "looked_up_twice":
            tensor = tensor + self.first(ops.flip(x, axis=1))
        for kind, layer in zip(self.case.trunk, self.trunk, strict=True):
            tensor = layer(tensor)
            if kind == "twice":
                tensor = layer(tensor)
        if self.pool is not None and not self.case.steps_have_labels:
            tensor = self.pool(tensor)
        return self.shared(tensor)

    def lead_on(self, shared: Tensor) -> dict[str, Tensor]:
        """From there to the outputs."""
        pooled = shared
        if self.case.steps_have_labels:
            pooled = self.pool(shared)
        outputs = {}
        for index, (name, head) in enumerate(self.heads.items()):
            tensor = pooled
            if index == 0 and self.case.steps_have_labels:
                tensor = shared
            elif index and self.branch is not None:
                tensor = self.branch(tensor)
            outputs[name] = head(tensor)
        return outputs

    def structured(self, by_name: dict[str, Any]) -> Any:
        """As the model of the case has its outputs."""
        if self.case.structure == "dict":
            return by_name
        found = list(by_name.values())
        return found if self.case.structure == "list" else found[0]

    def all(self) -> list[layers.Layer]:
        # As a batch meets them: methods that draw random numbers draw in the
        # order of the layers, in the slow training as well.
        found = [self.first, *self.trunk, self.pool, self.shared, self.branch]
        found += self.heads.values()
        return [layer for layer in found if layer is not None]


def _dense(name: str, **kwargs: Any) -> layers.Layer:
    return layers.Dense(WIDTH, activation="tanh", name=name, **kwargs)


def _nested(name: str) -> keras.Model:
    inputs = keras.Input((WIDTH,))
    tensor = _dense(f"{name}_in")(inputs)
    dense = _dense(f"{name}_sequential")
    norm = layers.LayerNormalization(name=f"{name}_norm")
    tensor = keras.Sequential([dense, norm], name=f"{name}_inner")(tensor)
    return keras.Model(inputs, inputs + tensor, name=name)


def _activation(losses: tuple[str, ...]) -> str | None:
    return ACTIVATIONS.get(losses[0]) if losses else None


def _input(case: Case) -> keras.KerasTensor:
    dtype = "int32" if case.inputs in WORD_INPUTS else None
    return keras.Input(SHAPES[case.inputs], dtype=dtype)


def make_model(case: Case, cls: type) -> keras.Model:
    """The model of a case, of a class that is `keras.Model` or like it."""
    parts = Parts(case)
    if case.subclassed:
        return _subclassed(parts, cls)
    inputs = _input(case)
    outputs = parts.structured(parts.lead_on(parts.lead_up(inputs)))
    if case.auxiliaries == "none":
        return cls(inputs, outputs)
    return add_self_auxiliaries(
        keras.Model(inputs, outputs),
        "shared",
        weight=AUXILIARY_WEIGHT,
        as_tasks=case.auxiliaries == "as_tasks",
        tasks=[n for n, o in case.named_outputs if o.losses],
    )


def _subclassed(parts: Parts, cls: type) -> keras.Model:
    class Net(cls):
        def __init__(self):
            super().__init__(name="net")
            self.parts = parts.all()

        def call(self, inputs, training=None):
            return parts.structured(parts.lead_on(parts.lead_up(inputs)))

    model = Net()
    dtype = "int32" if parts.case.inputs in WORD_INPUTS else "float32"
    model(np.zeros((1, *SHAPES[parts.case.inputs]), dtype))
    return model


def make_halves(case: Case) -> tuple[keras.Model, keras.Model]:
    """The same layers as two models: up to the shared layer, and from it.

    Auxiliary heads are outputs of the second, `<name>_aux`.
    """
    parts = Parts(case, slow=True)
    inputs = _input(case)
    shared = parts.lead_up(inputs)
    trunk = keras.Model(inputs, shared, name="lower_half")
    shape = shared.shape[1:]
    again = keras.Input(shape, dtype=shared.dtype)
    outputs = parts.lead_on(again)
    if case.auxiliaries != "none":
        for name, output in case.named_outputs:
            if output.losses:
                head = layers.Dense(
                    output.units,
                    activation=_activation(output.losses),
                    name=f"{name}_aux",
                )
                outputs[f"{name}_aux"] = head(again)
    return trunk, keras.Model(again, outputs, name="upper_half")


def path_of(variable: keras.Variable) -> str:
    """A name for a variable that both the model and its halves have."""
    parts = variable.path.split("/")
    left_out = ("net", "self_auxiliaries", "lower_half", "upper_half")
    parts = [part for part in parts if part not in left_out]
    if parts[0].endswith("_aux"):
        parts = [part for part in parts if part != "output"]
    return "/".join(parts)


def make_batches(case: Case) -> list[tuple]:
    """`(x, labels, sample_weights)` for each step, dicts by output."""
    rng = np.random.default_rng(case.seed)
    return [_make_batch(case, rng, step) for step in range(case.steps)]


def _make_batch(case: Case, rng: np.random.Generator, step: int) -> tuple:
    shape = (ROWS, *SHAPES[case.inputs])
    x = rng.normal(size=shape).astype("float32")
    if case.inputs in WORD_INPUTS:
        x = rng.integers(0, WORDS, shape).astype("int32")
        x[:, 0] = np.maximum(x[:, 0], 1)
    labels, weights = {}, {}
    for index, (name, output) in enumerate(case.named_outputs):
        by_step = index == 0 and case.steps_have_labels
        axes = (ROWS, LENGTH) if by_step else (ROWS,)
        labels[name] = _make_labels(output, axes, rng)
        share = 1.0 if output.absent and step == 1 else output.missing
        gone = rng.random(axes) < share
        labels[name][gone] = missing_value(output)
        if output.weighted:
            # Keras wants as many axes as the loss has.
            shape = (ROWS, 1) if by_step else (ROWS,)
            weights[name] = rng.uniform(0, 2, shape).astype("float32")
    return x, labels, weights


def _make_labels(output: Any, axes: tuple, rng: Any) -> np.ndarray:
    kind = output.losses[0] if output.losses else "mse"
    shape = (*axes, output.units)
    if kind == "sparse_cce":
        return rng.integers(0, output.units, axes).astype("int32")
    if kind == "cce":
        classes = rng.integers(0, output.units, axes)
        return np.eye(output.units, dtype="float32")[classes]
    if kind == "bce":
        return rng.integers(0, 2, shape).astype("float32")
    if kind == "kld":
        values = rng.uniform(0.1, 1, shape)
        return (values / values.sum(-1, keepdims=True)).astype("float32")
    if kind == "poisson":
        return rng.integers(0, 4, shape).astype("float32")
    return rng.normal(size=shape).astype("float32")


def missing_value(output: Any) -> float:
    return -1 if output.losses == ("sparse_cce",) else np.nan


def class_weights(output: Any) -> dict[int, float]:
    return {0: 0.5, 1: 2.0} if output.class_weight else {}
