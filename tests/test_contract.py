"""The contract: with the sum of the gradients, everything is stock Keras.

Each case is trained three times from the same start: as `keras.Model`, as
`MultiTaskModel` with no aggregator, and with `"sum"` (where it makes sense,
also with the gradients at the shared representation). Weights, the logs of
training and validation, predictions and moving averages must agree.
Run with `-s` to see the worst gap of each.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers
from keras import ops

from keras_mtl import MultiTaskModel

pytestmark = pytest.mark.backend

ON_TENSORFLOW = keras.backend.backend() == "tensorflow"
ROWS = 24
CROSS_ENTROPY = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
LOSS = {"a": CROSS_ENTROPY, "b": "mse"}
CASES: dict[str, "Case"] = {}
# What breaks most easily, and the ways to use Keras that differ most.
QUICK = {
    "plain",
    "mixed_float16",
    "subclassed",
    "list_outputs",
    "masked_sequences",
}


@dataclasses.dataclass(frozen=True)
class Case:
    """One way to use Keras.

    Attributes:
        compile: Makes the arguments of `compile`. With an argument it receives
            whether the model is the stock one.
        model: Makes the model from its class.
        data: Makes `(x, y)` or `(x, y, sample_weight)`.
        train: Trains the model on data, returns the logs.
        representation: Where gradients can be taken too, if anywhere.
        sum: Whether there are tasks to sum the gradients of.
        tolerance: Largest gap that is round-off.
        policy: Dtype policy.
    """

    compile: Callable[..., dict]
    model: Callable[[type], keras.Model]
    data: Callable[[], tuple]
    train: Callable[[keras.Model, tuple], dict]
    representation: str | None = None
    sum: bool = True
    tolerance: float = 2e-5
    policy: str = "float32"


def case(**settings: Any) -> Callable:
    """Registers a function that makes the arguments of `compile`."""

    def register(function: Callable) -> Callable:
        defaults = {"model": two_heads, "data": make_data, "train": fit}
        CASES[function.__name__] = Case(
            compile=function, **{**defaults, **settings}
        )
        return function

    return register


# -- data, models, training ---------------------------------------------------


def make_data() -> tuple:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(ROWS, 4)).astype("float32")
    digits = rng.integers(0, 3, ROWS)
    angles = rng.normal(size=(ROWS, 1)).astype("float32")
    return x, {"a": digits, "b": angles}


def make_weighted_data() -> tuple:
    x, y = make_data()
    rng = np.random.default_rng(1)
    weights = rng.uniform(0, 2, size=(2, ROWS)).astype("float32")
    return x, y, dict(zip("ab", weights))


def make_words() -> tuple:
    rng = np.random.default_rng(2)
    words = rng.integers(0, 7, (ROWS, 5))
    words[:, 0] = 1  # A row that is all padding has no loss.
    tags = rng.integers(0, 3, (ROWS, 5))
    return words, {"a": tags, "b": make_data()[1]["b"]}


def heads(shared: Any) -> dict:
    return {
        "a": layers.Dense(3, name="a")(shared),
        "b": layers.Dense(1, name="b")(shared),
    }


def between(*middle: Callable) -> Callable[[type], keras.Model]:
    """A model whose tasks share what is in the middle."""

    def model(cls: type) -> keras.Model:
        inputs = tensor = keras.Input((4,))
        for make_layer in middle:
            tensor = make_layer()(tensor)
        return cls(inputs, heads(tensor))

    return model


def shared(**kwargs: Any) -> layers.Layer:
    return layers.Dense(6, activation="tanh", name="shared", **kwargs)


def two_heads(cls: type) -> keras.Model:
    return between(shared)(cls)


def fit(model: keras.Model, data: tuple, **kwargs: Any) -> dict:
    x, y, *rest = data
    history = model.fit(
        x,
        y,
        sample_weight=rest[0] if rest else None,
        validation_data=data,
        **{"batch_size": 8, "epochs": 2, **kwargs},
        shuffle=False,
        verbose=0,
    )
    return history.history


def sgd(**kwargs: Any) -> keras.Optimizer:
    return keras.optimizers.SGD(0.1, momentum=0.9, **kwargs)


# -- losses, weights, metrics -------------------------------------------------


@case(representation="shared")
def plain():
    return {"optimizer": "adam", "loss": LOSS, "metrics": {"a": "accuracy"}}


@case()
def loss_weights():
    weights = {"b": 0.3, "a": 2.0}
    return {"optimizer": sgd(), "loss": LOSS, "loss_weights": weights}


@case()
def loss_weight_of_zero():
    weights = {"a": 1.0, "b": 0.0}
    return {"optimizer": sgd(), "loss": LOSS, "loss_weights": weights}


@case(data=make_weighted_data)
def sample_weight_and_weighted_metrics():
    return {
        "optimizer": sgd(),
        "loss": LOSS,
        "metrics": {"a": ["accuracy"], "b": ["mae"]},
        "weighted_metrics": {"a": ["accuracy"], "b": ["mae", "mse"]},
    }


@case(train=functools.partial(fit, batch_size=9))
def partial_last_batch():
    return {"optimizer": sgd(), "loss": LOSS, "metrics": {"b": ["mae"]}}


def fit_dataset(model: keras.Model, data: tuple) -> dict:
    import tensorflow as tf

    dataset = tf.data.Dataset.from_tensor_slices(data).batch(9)
    return model.fit(
        dataset, validation_data=dataset, epochs=2, verbose=0
    ).history


@case(train=fit_dataset, data=make_weighted_data)
def dataset_with_unknown_batch_size():
    return {"optimizer": sgd(), "loss": LOSS, "metrics": {"b": ["mae"]}}


# -- what belongs to no task --------------------------------------------------


@case(
    model=between(
        lambda: shared(kernel_regularizer="l2"),
        lambda: layers.BatchNormalization(),
        lambda: layers.Dropout(0.4, name="dropped"),
    ),
    representation="dropped",
)
def batchnorm_dropout_l2():
    return {"optimizer": sgd(), "loss": LOSS}


@case(
    model=between(
        lambda: layers.Dense(5, activity_regularizer="l1"),
        lambda: shared(activity_regularizer="l2"),
    ),
    representation="shared",
)
def activity_regularizer():
    return {"optimizer": sgd(), "loss": LOSS}


class Penalty(layers.Layer):
    def call(self, inputs):
        self.add_loss(0.1 * ops.mean(inputs**2))
        return inputs


@case(
    model=between(
        lambda: shared(kernel_regularizer="l1"),
        lambda: Penalty(),
        lambda: layers.Dense(5, name="last"),
        lambda: Penalty(),
    ),
    representation="last",
)
def add_loss():
    return {"optimizer": sgd(), "loss": LOSS}


def with_doubled_and_centred_loss(cls: type) -> keras.Model:
    class WithOwnLoss(cls):
        def compute_loss(self, x, y, y_pred, sample_weight, training=True):
            loss = super().compute_loss(x, y, y_pred, sample_weight, training)
            return 2 * loss + 0.1 * ops.mean(y_pred["a"]) ** 2

    return two_heads(WithOwnLoss)


@case(model=with_doubled_and_centred_loss)
def compute_loss_overridden():
    return {"optimizer": sgd(), "loss": LOSS}


# -- optimizers ---------------------------------------------------------------


@case()
def global_clipnorm():
    return {"optimizer": sgd(global_clipnorm=0.1), "loss": LOSS}


@case()
def clipnorm():
    return {"optimizer": sgd(clipnorm=0.1), "loss": LOSS}


@case(train=functools.partial(fit, epochs=3))
def gradient_accumulation():
    optimizer = keras.optimizers.Adam(0.05, gradient_accumulation_steps=2)
    return {"optimizer": optimizer, "loss": LOSS}


@case()
def moving_averages():
    optimizer = sgd(use_ema=True, ema_momentum=0.8, ema_overwrite_frequency=2)
    return {"optimizer": optimizer, "loss": LOSS}


@case()
def moving_averages_at_the_end():
    return {"optimizer": sgd(use_ema=True, ema_momentum=0.8), "loss": LOSS}


@case()
def weight_decay():
    optimizer = keras.optimizers.AdamW(0.05, weight_decay=0.1)
    return {"optimizer": optimizer, "loss": LOSS}


@case()
def loss_scale_factor():
    return {"optimizer": sgd(loss_scale_factor=64.0), "loss": LOSS}


@case(representation="shared")
def loss_scale_optimizer():
    optimizer = keras.optimizers.LossScaleOptimizer(
        keras.optimizers.Adam(0.05), dynamic_growth_steps=4
    )
    return {"optimizer": optimizer, "loss": LOSS}


def three_heads(cls: type) -> keras.Model:
    inputs = keras.Input((4,))
    tensor = shared()(inputs)
    unused = layers.Dense(1, name="unused")(tensor)
    return cls(inputs, {**heads(tensor), "unused": unused})


def make_unused_data() -> tuple:
    x, y = make_data()
    return x, {**y, "unused": y["b"]}


@case(model=three_heads, data=make_unused_data, representation="shared")
def output_without_loss():
    optimizer = keras.optimizers.AdamW(0.05, weight_decay=0.1)
    return {"optimizer": optimizer, "loss": {**LOSS, "unused": None}}


# -- how a step runs ----------------------------------------------------------


@case(train=functools.partial(fit, epochs=3))
def steps_per_execution():
    return {"optimizer": sgd(), "loss": LOSS, "steps_per_execution": 2}


@case(policy="mixed_float16", tolerance=3e-3, representation="shared")
def mixed_float16():
    return {"optimizer": sgd(), "loss": LOSS, "metrics": {"b": ["mae"]}}


@case(representation="shared")
def jit_compile_on():
    return {"optimizer": sgd(), "loss": LOSS, "jit_compile": True}


@case()
def jit_compile_auto():
    return {"optimizer": sgd(), "loss": LOSS, "jit_compile": "auto"}


@case(train=functools.partial(fit, epochs=1))
def jit_compile_off():
    return {"optimizer": sgd(), "loss": LOSS, "jit_compile": False}


@case(train=functools.partial(fit, epochs=1))
def run_eagerly():
    return {"optimizer": sgd(), "loss": LOSS, "run_eagerly": True}


def train_on_batches(model: keras.Model, data: tuple) -> dict:
    logs = [
        {"loss": model.train_on_batch(*data)[0]},
        model.train_on_batch(*data, return_dict=True),
        model.test_on_batch(*data, return_dict=True),
    ]
    return {
        f"{name}_{i}": value
        for i, log in enumerate(logs)
        for name, value in log.items()
    }


@case(train=train_on_batches, data=make_weighted_data)
def train_on_batch():
    return {"optimizer": sgd(), "loss": LOSS, "metrics": {"b": ["mae"]}}


# -- models -------------------------------------------------------------------


def subclassed_model(cls: type) -> keras.Model:
    class Subclassed(cls):
        def __init__(self):
            super().__init__()
            self.shared = shared()
            self.dropout = layers.Dropout(0.2)
            self.heads = {"a": layers.Dense(3), "b": layers.Dense(1)}

        def build(self, input_shape):
            self.shared.build(input_shape)
            for head in self.heads.values():
                head.build((None, 6))

        def call(self, inputs, training=None):
            tensor = self.dropout(self.shared(inputs), training=training)
            return {name: head(tensor) for name, head in self.heads.items()}

    model = Subclassed()
    model.build((None, 4))
    return model


@case(model=subclassed_model, representation="shared")
def subclassed():
    return {"optimizer": "adam", "loss": LOSS, "metrics": {"a": "accuracy"}}


def list_model(cls: type) -> keras.Model:
    inputs = keras.Input((4,))
    return cls(inputs, list(heads(shared()(inputs)).values()))


def make_list_data() -> tuple:
    x, y, weights = make_weighted_data()
    return x, list(y.values()), list(weights.values())


@case(model=list_model, data=make_list_data)
def list_outputs():
    return {
        "optimizer": sgd(),
        "loss": [CROSS_ENTROPY, "mse"],
        "loss_weights": [0.5, 2.0],
        "metrics": [["accuracy"], ["mae"]],
    }


@case(model=list_model, data=lambda: make_list_data()[:2])
def list_outputs_with_losses_by_name():
    weights = {"a": 0.5, "b": 2.0}
    return {"optimizer": sgd(), "loss": LOSS, "loss_weights": weights}


def nested_model(cls: type) -> keras.Model:
    inputs = keras.Input((4,))
    a, b = heads(shared()(inputs)).values()
    return cls(
        inputs, {"what": {"a": a}, "where": [b, layers.Dense(1, name="c")(b)]}
    )


def make_nested_data() -> tuple:
    x, y, w = make_weighted_data()
    nest = [{"what": {"a": v["a"]}, "where": [v["b"], v["b"]]} for v in (y, w)]
    return x, *nest


@case(model=nested_model, data=make_nested_data)
def nested_outputs():
    return {
        "optimizer": sgd(),
        "loss": {"what": {"a": CROSS_ENTROPY}, "where": ["mse", "mae"]},
    }


def partly_shared_model(cls: type) -> keras.Model:
    inputs = keras.Input((4,))
    tensor = shared()(inputs)
    branch = layers.Dense(5, activation="tanh")(tensor)
    c = layers.Dense(1, name="c")(layers.Dense(2)(branch))
    a, b = heads(tensor).values()
    b = layers.Add(name="b_out")([b, layers.Dense(1)(branch)])
    return cls(inputs, {"a": a, "b": b, "c": c})


def make_three_task_data() -> tuple:
    x, y = make_data()
    return x, {**y, "c": np.sin(y["b"])}


@case(
    model=partly_shared_model,
    data=make_three_task_data,
)
def variables_of_some_tasks():
    return {"optimizer": "adam", "loss": {**LOSS, "c": "mae"}}


def frozen_model(cls: type) -> keras.Model:
    inputs = keras.Input((4,))
    frozen = layers.Dense(4, trainable=False)(inputs)
    normalised = layers.BatchNormalization(trainable=False)(frozen)
    outputs = heads(shared()(normalised))
    model = cls(inputs, outputs)
    model.get_layer("a").trainable = False
    return model


@case(model=frozen_model)
def frozen_variables():
    return {"optimizer": sgd(), "loss": LOSS}


def embedding_model(cls: type, mask_zero: bool = False) -> keras.Model:
    inputs = keras.Input((5,), dtype="int32")
    words = layers.Embedding(7, 4, mask_zero=mask_zero)(inputs)
    tensor = shared()(words)
    pooled = layers.GlobalAveragePooling1D()(tensor)
    a, b = layers.Dense(3)(tensor), layers.Dense(1)(pooled)
    return cls(inputs, {"a": a, "b": b})


@case(model=embedding_model, data=make_words, representation="shared")
def embedding():
    return {"optimizer": sgd(), "loss": LOSS, "metrics": {"a": "accuracy"}}


@case(
    model=functools.partial(embedding_model, mask_zero=True),
    data=make_words,
    representation="shared",
)
def masked_sequences():
    return {"optimizer": sgd(), "loss": LOSS, "metrics": {"a": "accuracy"}}


def recurrent_model(cls: type) -> keras.Model:
    inputs = keras.Input((5,), dtype="int32")
    words = layers.Embedding(7, 4, mask_zero=True)(inputs)
    states, last, _ = layers.LSTM(
        4, return_sequences=True, return_state=True, name="lstm"
    )(words)
    both = layers.Concatenate()([last, states[:, 2]])
    a, b = layers.Dense(3)(states), layers.Dense(1)(both)
    return cls(inputs, {"a": a, "b": b})


# Of three outputs of the representation the tasks use two, and one they share.
@case(model=recurrent_model, data=make_words, representation="lstm")
def recurrent():
    return {"optimizer": sgd(), "loss": LOSS}


def two_inputs_model(cls: type) -> keras.Model:
    inputs = {"left": keras.Input((4,)), "right": keras.Input((2,))}
    tower = layers.Dense(4, activation="tanh")
    trunk = shared()
    left = trunk(tower(inputs["left"]))
    right = trunk(layers.Dense(4, activation="tanh")(inputs["right"]))
    a, b = layers.Dense(3)(left), layers.Dense(1)(right)
    return cls(inputs, {"a": a, "b": b})


def make_two_inputs() -> tuple:
    x, y = make_data()
    return {"left": x, "right": x[:, :2] ** 2}, y


@case(model=two_inputs_model, data=make_two_inputs)
def different_inputs_for_different_tasks():
    return {"optimizer": sgd(), "loss": LOSS}


@ops.custom_gradient
def _reverse(x):
    def gradient(*args, upstream=None):
        return -(args[0] if upstream is None else upstream)

    return x * 1.0, gradient


class Reversal(layers.Layer):
    def call(self, inputs):
        return _reverse(inputs)


@case(
    model=between(shared, Reversal, lambda: layers.Dense(5, name="last")),
    representation="last",
)
def custom_gradient():
    return {"optimizer": sgd(), "loss": LOSS}


# -- several losses on one output: stock Keras needs them in one function -----


def mse_and_mae(y_true, y_pred):
    mse = keras.losses.mean_squared_error(y_true, y_pred)
    return 2 * mse + keras.losses.mean_absolute_error(y_true, y_pred)


@case()
def several_losses_on_one_output(stock: bool):
    if stock:
        return {"optimizer": sgd(), "loss": {**LOSS, "b": mse_and_mae}}
    return {
        "optimizer": sgd(),
        "loss": {"a": CROSS_ENTROPY, "b": ["mse", "mae"]},
        "loss_weights": {"a": 1.0, "b": [2.0, 1.0]},
    }


def single_output_model(cls: type) -> keras.Model:
    inputs = keras.Input((4,))
    return cls(inputs, layers.Dense(1, name="out")(shared()(inputs)))


def make_single_data() -> tuple:
    x, y, weights = make_weighted_data()
    return x, y["b"], weights["b"]


@case(model=single_output_model, data=make_single_data, representation="out")
def several_losses_on_a_single_output(stock: bool):
    if stock:
        return {"optimizer": sgd(), "loss": mse_and_mae}
    losses = ["mse", "mae", "log_cosh"]
    weights = [2.0, 1.0, 0.0]
    return {"optimizer": sgd(), "loss": losses, "loss_weights": weights}


@case(model=single_output_model, data=make_single_data, sum=False)
def single_task():
    return {"optimizer": sgd(), "loss": "mse", "metrics": ["mae"]}


# -- the test -----------------------------------------------------------------


def run(name: str, cls: type, **method: Any) -> dict[str, Any]:
    """Trains one case, returns all there is to compare."""
    this = CASES[name]
    keras.config.set_dtype_policy(this.policy)
    keras.utils.set_random_seed(0)
    model = this.model(cls)
    stock = cls is keras.Model
    arguments = this.compile(stock) if takes_stock(this) else this.compile()
    if ON_TENSORFLOW and "jit_compile" not in arguments:
        # XLA would take longer than all the steps.
        arguments["jit_compile"] = False
    data = this.data()
    model.compile(**arguments, **method)
    logs = this.train(model, data)
    predictions = keras.tree.flatten(model(data[0]))
    optimizer = model.optimizer
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    return {
        "logs": {k: np.asarray(v, "float64") for k, v in logs.items()},
        "weights": model.get_weights(),
        "seeds": [np.asarray(v) for v in model.non_trainable_variables],
        "slots": [np.asarray(v) for v in optimizer.variables],
        "predictions": [ops.convert_to_numpy(p) for p in predictions],
    }


def takes_stock(this: Case) -> bool:
    return this.compile.__code__.co_argcount > 0


@functools.cache
def stock_result(name: str) -> dict[str, Any]:
    return run(name, keras.Model)


def gap(left: Any, right: Any) -> float:
    assert len(left) == len(right)
    for one, other in zip(left, right):
        assert one.shape == other.shape
        assert np.isfinite(other).all()
    return max(np.abs(a - b).max() for a, b in zip(left, right))


# Keras itself refuses them there.
NOT_ON_TORCH = ("steps_per_execution",)
# Keras' own step is compiled there, which takes most of a minute each time.
ONCE_ON_TORCH = ("jit_compile_on",)
QUICKEST = ("sum", None)


def methods() -> list[Any]:
    parameters = []
    for name, this in CASES.items():
        on_torch = keras.backend.backend() == "torch"
        if on_torch and name in NOT_ON_TORCH:
            continue
        # Without a method the model does what Keras does with such losses.
        variants: list[tuple] = []
        if not takes_stock(this):
            variants.append((name, None, None))
        if this.sum:
            variants.append((name, "sum", None))
        if this.representation:
            variants.append((name, "sum", this.representation))
        for variant in variants:
            if on_torch and name in ONCE_ON_TORCH and variant[1:] != QUICKEST:
                continue
            label = "-".join(str(part) for part in variant if part)
            label += "" if variant[1] else "-None"
            is_quick = name == "plain" or (
                name in QUICK and variant[1:] == ("sum", None)
            )
            marks = () if is_quick else pytest.mark.slow
            parameters.append(pytest.param(*variant, id=label, marks=marks))
    return parameters


@pytest.mark.parametrize("name, aggregator, representation", methods())
# By Keras, of outputs without a loss and of inputs by other names.
@pytest.mark.filterwarnings(
    "ignore:Gradients do not exist", "ignore:When providing `inputs` as a dict"
)
def test_equals_stock_keras(name, aggregator, representation):
    this = CASES[name]
    stock = stock_result(name)
    ours = run(
        name,
        MultiTaskModel,
        aggregator=aggregator,
        representation=representation,
    )
    logs = ours.pop("logs")
    stock_logs = stock["logs"]
    if takes_stock(this):
        # Several losses have several logs; the sum is in both.
        stock_logs = {k: v for k, v in stock_logs.items() if k in logs}
        logs = {k: v for k, v in logs.items() if k in stock_logs}
        assert {"loss", "val_loss"} <= set(logs)
    extra = {k for k in set(logs) - set(stock_logs)}
    assert all(k.startswith("gradient_conflict") for k in extra)
    assert bool(extra) == bool(aggregator) or takes_stock(this)
    gaps = {
        key: float(np.abs(value - logs[key]).max())
        for key, value in stock_logs.items()
    }
    for key, values in ours.items():
        if values or stock[key]:
            gaps[key] = gap(stock[key], values)
    worst = max(gaps, key=gaps.get)
    print(f"\n  {name}, {aggregator}: {gaps[worst]:.1e} in {worst}", end="")
    assert gaps[worst] <= this.tolerance, gaps


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
