"""What `MultiTaskModel` does with the gradients, losses and labels of tasks.

That it is stock Keras otherwise stands in `test_contract.py`.
"""

import functools
import os
import subprocess
import sys
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from keras import ops

from keras_mtl import MultiTaskModel
from keras_mtl import aggregators
from keras_mtl import weightings

pytestmark = pytest.mark.backend

ON_TENSORFLOW = keras.backend.backend() == "tensorflow"
# A few small steps are faster without a graph on TensorFlow.
QUICK = {"run_eagerly": True} if ON_TENSORFLOW else {}
CROSS_ENTROPY = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
LOSS = {"a": CROSS_ENTROPY, "b": "mse"}
ROWS = 16
AGGREGATORS = {
    "none": lambda: None,
    "sum": aggregators.Sum,
    "mean": aggregators.Mean,
    "pcgrad": lambda: aggregators.PCGrad(seed=1),
    "mgda": aggregators.MGDA,
    "mgda_loss+": lambda: aggregators.MGDA("loss+"),
    "projection_of_a": lambda: aggregators.Projection("a"),
    "projection_of_b": lambda: aggregators.Projection("b", smoothing=1.0),
    "unweighted_cosine": lambda: aggregators.UnweightedCosine("b"),
    "weighted_cosine": lambda: aggregators.WeightedCosine("a"),
    "orthogonal": lambda: aggregators.Orthogonal("a", smoothing=0.5),
}
each_aggregator = pytest.mark.parametrize("aggregator", AGGREGATORS)


def make_data(seed: int = 0) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(ROWS, 4)).astype("float32")
    digits = rng.integers(0, 3, ROWS)
    angles = rng.normal(size=(ROWS, 1)).astype("float32")
    return x, {"a": digits, "b": angles}


def make_model(regularizer: Any = None) -> MultiTaskModel:
    keras.utils.set_random_seed(3)
    inputs = keras.Input((4,))
    first = layers.Dense(5, "tanh", name="first")(inputs)
    second = layers.Dense(
        4, "tanh", name="second", kernel_regularizer=regularizer
    )(first)
    outputs = {
        "a": layers.Dense(3, name="a")(second),
        "b": layers.Dense(1, name="b")(second),
    }
    return MultiTaskModel(inputs, outputs)


def gradients(
    data: tuple | None = None, model: Any = None, **arguments: Any
) -> dict[str, np.ndarray]:
    """What one step would subtract from each variable, by path."""
    model = model or make_model()
    model.compile(
        **{"optimizer": keras.optimizers.SGD(1.0), "loss": LOSS, **QUICK}
        | arguments
    )
    before = {v.path: np.array(v) for v in model.trainable_variables}
    model.train_on_batch(*(data or make_data()))
    return {
        v.path: before[v.path] - np.array(v) for v in model.trainable_variables
    }


@functools.cache
def task_gradients() -> tuple[dict, dict]:
    """The gradients of tasks a and b, from stock losses with one weight 0."""
    a = gradients(loss_weights={"a": 1.0, "b": 0.0})
    b = gradients(loss_weights={"a": 0.0, "b": 1.0})
    return a, b


@functools.cache
def summed_gradients() -> dict:
    return gradients()


def assert_close(left: dict, right: dict, atol: float = 1e-6) -> None:
    assert left.keys() == right.keys()
    for path in left:
        np.testing.assert_allclose(
            left[path], right[path], atol=atol, err_msg=path
        )


def flat(values: dict, paths: Any) -> np.ndarray:
    return np.concatenate([values[path].ravel() for path in paths])


SHARED = ["first/kernel", "first/bias", "second/kernel", "second/bias"]
HEADS = ["a/kernel", "a/bias", "b/kernel", "b/bias"]


class TestWhatIsAggregated:
    @pytest.mark.slow
    @pytest.mark.parametrize(
        "granularity, groups",
        {
            "model": [SHARED],
            "layer": [SHARED[:2], SHARED[2:]],
            "variable": [[path] for path in SHARED],
        }.items(),
    )
    def test_pcgrad_over_each_granularity(self, granularity, groups):
        a, b = task_gradients()
        expected, conflicts = dict(a), 0
        for group in groups:
            u, v = flat(a, group), flat(b, group)
            dot = min(u @ v, 0)
            conflicts += dot < 0
            wu, wv = 1 - dot / (u @ u), 1 - dot / (v @ v)
            for path in group:
                expected[path] = wu * a[path] + wv * b[path]
        expected |= {path: a[path] + b[path] for path in HEADS}
        found = gradients(aggregator=aggregators.PCGrad(granularity))
        assert_close(found, expected)
        assert conflicts > 0
        plain = gradients()
        assert max(np.abs(plain[p] - found[p]).max() for p in SHARED) > 1e-3

    @each_aggregator
    def test_heads_keep_their_own_gradient(self, aggregator):
        plain = summed_gradients()
        found = gradients(aggregator=AGGREGATORS[aggregator]())
        for path in HEADS:
            np.testing.assert_allclose(
                found[path], plain[path], atol=1e-6, err_msg=path
            )

    def test_a_main_task_is_found_by_name_in_the_order_of_loss(self):
        a, b = task_gradients()
        u, v = flat(a, SHARED), flat(b, SHARED)
        rule = aggregators.Projection("b", smoothing=1.0, granularity="model")
        found = gradients(
            loss={"b": LOSS["b"], "a": LOSS["a"]}, aggregator=rule
        )
        expected = u - min(u @ v, 0) / (v @ v) * v + v
        np.testing.assert_allclose(flat(found, SHARED), expected, atol=1e-6)

    def test_regularisers_are_added_and_never_projected(self):
        rule = aggregators.PCGrad()
        without = gradients(aggregator=rule)
        model = make_model(keras.regularizers.L2(0.3))
        kernel = np.array(model.get_layer("second").kernel)
        found = gradients(model=model, aggregator=aggregators.PCGrad())
        without["second/kernel"] += 2 * 0.3 * kernel
        assert_close(found, without)

    def test_loss_weights_scale_the_task_gradients(self):
        a, b = task_gradients()
        weights = {"a": 0.5, "b": 4.0}
        found = gradients(aggregator=aggregators.Mean(), loss_weights=weights)
        for path in SHARED:
            expected = (0.5 * a[path] + 4.0 * b[path]) / 2
            np.testing.assert_allclose(found[path], expected, atol=1e-6)

    def test_a_stock_model_takes_negative_loss_weights(self):
        a, b = task_gradients()
        found = gradients(loss_weights={"a": 1.0, "b": -0.5})
        assert_close(found, {path: a[path] - 0.5 * b[path] for path in a})
        variable = keras.Variable(-0.5)
        found = gradients(loss_weights={"a": 1.0, "b": variable})
        assert_close(found, {path: a[path] - 0.5 * b[path] for path in a})

    @pytest.mark.parametrize("granularity", ["model", "variable"])
    def test_a_method_that_needs_the_rows(self, granularity):
        class Agreement(aggregators.Aggregator):
            """Keeps the coordinates in which all tasks have one sign."""

            sees = "gradients"

            def combine(self, jacobian, step):
                signs = ops.abs(ops.sum(ops.sign(jacobian), axis=0))
                agreed = ops.cast(signs == jacobian.shape[0], jacobian.dtype)
                return agreed * ops.sum(jacobian, axis=0)

        a, b = task_gradients()
        found = gradients(aggregator=Agreement(granularity))
        for path in SHARED:
            agreed = a[path] * b[path] > 0
            expected = agreed * (a[path] + b[path])
            np.testing.assert_allclose(found[path], expected, atol=1e-6)
        for path in HEADS:
            np.testing.assert_allclose(
                found[path], a[path] + b[path], atol=1e-6
            )

    def test_gram_and_weights_of_the_step_can_be_read(self):
        a, b = task_gradients()
        rows = np.stack([flat(a, SHARED), flat(b, SHARED)])
        model = make_model()
        gradients(model=model, aggregator=aggregators.MGDA())
        metric = model.gradient_conflict
        np.testing.assert_allclose(metric.gram, rows @ rows.T, atol=1e-6)
        assert abs(float(ops.sum(metric.task_weights)) - 1) < 1e-6
        assert model.task_names == ["a", "b"]


class TestGradientConflict:
    def test_is_the_share_of_pairs_over_all_steps(self):
        # Task t wants the one weight to be t's label: signs are known.
        inputs = keras.Input((1,))
        shared = layers.Dense(
            1, use_bias=False, kernel_initializer="zeros", name="shared"
        )(inputs)
        names = ["p", "q", "r"]
        outputs = {n: layers.Identity(name=n)(shared) for n in names}
        model = MultiTaskModel(inputs, outputs)
        model.compile(
            keras.optimizers.SGD(0.0),
            loss=dict.fromkeys(names, "mse"),
            aggregator="pcgrad",
            **QUICK,
        )
        x = np.ones((4, 1), "float32")
        # First step: p against q and r. Second: no conflict.
        y = {
            "p": np.array([[1], [1], [1], [1]], "float32"),
            "q": np.array([[-1], [-1], [1], [1]], "float32"),
            "r": np.array([[-1], [-1], [1], [1]], "float32"),
        }
        logs = model.fit(
            x, y, batch_size=2, shuffle=False, validation_data=(x, y), verbose=0
        ).history
        np.testing.assert_allclose(logs["gradient_conflict"], [(2 / 3 + 0) / 2])
        assert "val_gradient_conflict" not in logs
        assert set(logs) - {"gradient_conflict"} == {
            f"{prefix}{name}loss"
            for prefix in ("", "val_")
            for name in ("", "p_", "q_", "r_")
        }


class TestLossScaling:
    @pytest.mark.parametrize(
        "aggregator", ["pcgrad", "projection_of_a", "orthogonal", "mgda_loss+"]
    )
    def test_an_overflow_leaves_no_trace(self, aggregator):
        x, y = make_data()
        arguments = {"loss": LOSS, "loss_weights": {"a": 100.0, "b": 100.0}}

        def compiled(optimizer: Any) -> MultiTaskModel:
            model, rule = make_model(), AGGREGATORS[aggregator]()
            model.compile(optimizer, aggregator=rule, **arguments, **QUICK)
            return model

        scaler = keras.optimizers.LossScaleOptimizer(
            keras.optimizers.SGD(0.001), initial_scale=2.0**127
        )
        scaled = compiled(scaler)
        start = scaled.get_weights()
        scaled.train_on_batch(x, y)
        for before, after in zip(start, scaled.get_weights()):
            np.testing.assert_array_equal(before, after)
        assert int(scaler.inner_optimizer.iterations) == 0
        for slot in getattr(scaled.aggregator, "reference", []):
            np.testing.assert_array_equal(slot, np.zeros(slot.shape))
        # From here on the scale is one that training would have.
        scaler.dynamic_scale.assign(2.0**15)
        for _ in range(3):
            scaled.train_on_batch(x, y)
        assert int(scaler.inner_optimizer.iterations) == 3
        plain = compiled(keras.optimizers.SGD(0.001))
        for _ in range(3):
            plain.train_on_batch(x, y)
        for one, other in zip(scaled.get_weights(), plain.get_weights()):
            np.testing.assert_allclose(one, other, atol=2e-6)
        references = [
            getattr(m.aggregator, "reference", []) for m in (scaled, plain)
        ]
        for one, other in zip(*references):
            np.testing.assert_allclose(one, other, atol=1e-6)

    @pytest.mark.slow
    def test_nan_gradients_are_not_hidden(self):
        x, y = make_data()
        x[0, 0] = np.nan
        for aggregator in ("pcgrad", "mgda", "projection_of_a"):
            with pytest.warns(UserWarning, match="became NaN or infinite"):
                found = gradients((x, y), aggregator=AGGREGATORS[aggregator]())
            assert all(np.isnan(found[p]).any() for p in SHARED), aggregator


class TestRepresentation:
    def linear_model(self) -> MultiTaskModel:
        keras.utils.set_random_seed(4)
        inputs = keras.Input((4,))
        shared = layers.Dense(3, use_bias=False, name="shared")(inputs)
        outputs = {
            name: layers.Dense(1, use_bias=False, name=name)(shared)
            for name in "ab"
        }
        return MultiTaskModel(inputs, outputs)

    def test_mgda_ub_in_closed_form(self):
        x, y = make_data()
        y = {"a": y["b"] + 2, "b": y["b"] - 1}
        model = self.linear_model()
        trunk, head_a, head_b = [np.array(v) for v in model.weights]
        z = x @ trunk
        grads = [
            2 / ROWS * (z @ head - y[name]) @ head.T
            for name, head in (("a", head_a), ("b", head_b))
        ]
        u, v = (g.ravel() for g in grads)
        share = np.clip((v - u) @ v / ((u - v) @ (u - v)), 0, 1)
        assert 0 < share < 1
        found = gradients(
            (x, y),
            model,
            loss="mse",
            aggregator="mgda",
            representation="shared",
        )
        expected = x.T @ (share * grads[0] + (1 - share) * grads[1])
        np.testing.assert_allclose(found["shared/kernel"], expected, atol=1e-6)
        for name, head in (("a", head_a), ("b", head_b)):
            expected = 2 / ROWS * z.T @ (z @ head - y[name])
            np.testing.assert_allclose(
                found[f"{name}/kernel"], expected, atol=1e-6
            )
        weights = np.array(model.gradient_conflict.task_weights)
        np.testing.assert_allclose(weights, [share, 1 - share], atol=1e-6)

    def test_one_example_of_ones_is_as_the_parameters_see_it(self):
        # With x = 1 the gradient of the kernel is that of the representation.
        x, y = np.ones((1, 1), "float32"), np.ones((1, 1), "float32")
        found = []
        for representation in (None, "shared"):
            keras.utils.set_random_seed(5)
            inputs = keras.Input((1,))
            shared = layers.Dense(6, use_bias=False, name="shared")(inputs)
            outputs = {
                name: layers.Dense(1, name=name)(shared) for name in "abc"
            }
            model = MultiTaskModel(inputs, outputs)
            labels = {"a": y, "b": -3 * y, "c": 5 * y}
            arguments = {"aggregator": aggregators.PCGrad(seed=9)}
            arguments["representation"] = representation
            found.append(gradients((x, labels), model, loss="mse", **arguments))
        assert_close(*found, atol=1e-5)

    @pytest.mark.slow
    def test_a_tensor_or_a_name(self):
        model = make_model()
        tensor = model.get_layer("second").output
        by_tensor = gradients(
            model=model, aggregator="mgda", representation=tensor
        )
        by_name = gradients(aggregator="mgda", representation="second")
        assert_close(by_tensor, by_name)


class TestMissingLabels:
    @pytest.mark.parametrize("aggregator", ["none", "sum"])
    @pytest.mark.parametrize("weighted", [False, True])
    def test_train_as_on_the_labelled_examples(self, aggregator, weighted):
        x, y = make_data()
        weights = {k: np.linspace(0.5, 2, ROWS, dtype="float32") for k in "ab"}
        has = {"a": np.arange(ROWS) % 3 > 0, "b": np.arange(ROWS) % 4 > 1}
        gaps = {
            "a": np.where(has["a"], y["a"], -1),
            "b": np.where(has["b"][:, None], y["b"], np.nan),
        }
        data = (x, gaps, weights) if weighted else (x, gaps)
        found = gradients(
            data,
            aggregator=AGGREGATORS[aggregator](),
            missing_label={"a": -1, "b": float("nan")},
        )
        parts = []
        for task in "ab":
            rows = has[task]
            subset = [x[rows], {k: v[rows] for k, v in y.items()}]
            if weighted:
                subset.append({k: v[rows] for k, v in weights.items()})
            loss_weights = {k: float(k == task) for k in "ab"}
            parts.append(gradients(tuple(subset), loss_weights=loss_weights))
        total = {path: parts[0][path] + parts[1][path] for path in parts[0]}
        assert_close(found, total)

    @pytest.mark.slow
    @each_aggregator
    def test_a_batch_without_any_label(self, aggregator):
        x, y = make_data()
        y["b"] = np.full_like(y["b"], np.nan)
        model = make_model()
        arguments = {
            "aggregator": AGGREGATORS[aggregator](),
            "missing_label": float("nan"),
            "metrics": {"b": ["mae"]},
        }
        if aggregator in ("none", "pcgrad"):
            arguments["weighting"] = weightings.Uncertainty(["b"])
        found = gradients((x, y), model, **arguments)
        logs = model.get_metrics_result()
        assert float(logs["b_loss"]) == 0 and float(logs["b_mae"]) == 0
        assert all(np.isfinite(g).all() for g in found.values())
        assert not found["b/kernel"].any() and not found["b/bias"].any()
        alone, _ = task_gradients()
        if aggregator == "unweighted_cosine":
            # No main gradient that an auxiliary one could agree with.
            assert not any(found[path].any() for path in SHARED)
        elif aggregator != "mean":
            # Nothing stands in the way of the other task.
            for path in SHARED:
                np.testing.assert_allclose(found[path], alone[path], atol=1e-6)
        # And nothing at all.
        y["a"] = np.full(ROWS, np.nan, "float32")
        before = model.get_weights()
        model.train_on_batch(x, y)
        after = model.get_weights()
        assert all(np.isfinite(w).all() for w in after)
        if "weighting" not in arguments:
            for one, other in zip(before, after):
                np.testing.assert_array_equal(one, other)

    def test_log_variances_rest_where_there_is_no_label(self):
        x, y = make_data()
        y["b"] = np.full_like(y["b"], np.nan)
        for learning_rate in (None, 0.1):
            rule = weightings.Uncertainty(learning_rate=learning_rate)
            gradients((x, y), weighting=rule, missing_label=float("nan"))
            moved = np.array(rule.log_variance) != 0
            assert moved.tolist() == [True, False], learning_rate

    def test_logs_are_means_over_labelled_examples(self):
        x, y = make_data()
        has = np.arange(ROWS) % 5 < np.arange(ROWS) // 5 + 1
        y["b"] = np.where(has[:, None], y["b"], np.nan)
        y["a"] = np.where(has[::-1], y["a"], -7)
        model = make_model()
        model.compile(
            keras.optimizers.SGD(0.0),
            loss=LOSS,
            metrics={"a": ["accuracy"], "b": ["mae"]},
            weighted_metrics={"b": ["mse"]},
            missing_label={"a": -7, "b": float("nan")},
            **QUICK,
        )
        predictions = model.predict(x, verbose=0)
        errors = (predictions["b"] - y["b"])[has]
        hits = (predictions["a"].argmax(-1) == y["a"])[has[::-1]]
        # Batches have unlike numbers of labels; the last one is smaller.
        history = model.fit(
            x, y, batch_size=5, validation_data=(x, y), verbose=0
        ).history
        expected = {
            "b_loss": np.mean(errors**2),
            "b_mse": np.mean(errors**2),
            "b_mae": np.mean(np.abs(errors)),
            "a_accuracy": np.mean(hits),
        }
        for name, value in expected.items():
            for prefix in ("", "val_"):
                np.testing.assert_allclose(
                    history[prefix + name][0], value, rtol=1e-5, err_msg=name
                )

    def test_padding_and_missing_labels_together(self):
        rng = np.random.default_rng(0)
        words = rng.integers(0, 4, (6, 5))
        words[0] = 0
        tags = rng.integers(0, 3, (6, 5))
        tags[rng.random((6, 5)) < 0.3] = -1
        keras.utils.set_random_seed(0)
        inputs = keras.Input((5,), dtype="int32")
        embedded = layers.Embedding(4, 3, mask_zero=True)(inputs)
        outputs = {
            "a": layers.Dense(3, name="a")(embedded),
            "b": layers.Dense(1, name="b")(
                layers.GlobalAveragePooling1D()(embedded)
            ),
        }
        model = MultiTaskModel(inputs, outputs)
        model.compile("sgd", loss=LOSS, missing_label={"a": -1}, **QUICK)
        labels = {"a": tags, "b": np.zeros((6, 1), "float32")}
        logs = model.evaluate(words, labels, verbose=0, return_dict=True)
        counted = (words != 0) & (tags != -1)
        logits = model.predict(words, verbose=0)["a"]
        logits -= np.log(np.exp(logits).sum(-1, keepdims=True))
        losses = -np.take_along_axis(logits, tags[..., None], -1)[..., 0]
        np.testing.assert_allclose(
            logs["a_loss"], losses[counted].mean(), rtol=1e-5
        )

    def test_nested_outputs_by_task_name(self):
        x, y = make_data()
        inputs = keras.Input((4,))
        outputs = {
            "what": {"a": layers.Dense(1, name="a")(inputs)},
            "b": layers.Dense(1, name="b")(inputs),
        }
        model = MultiTaskModel(inputs, outputs)
        model.compile(
            "sgd",
            loss={"what": {"a": "mse"}, "b": "mse"},
            missing_label={"what/a": float("nan")},
            **QUICK,
        )
        gaps = y["b"].copy()
        gaps[:5] = np.nan
        data = x, {"what": {"a": gaps}, "b": y["b"]}
        logs = model.evaluate(*data, verbose=0, return_dict=True)
        assert all(np.isfinite(value) for value in logs.values()), logs
        errors = model.predict(x, verbose=0)["what"]["a"] - gaps
        np.testing.assert_allclose(
            logs["what/a_loss"], np.mean(errors[5:] ** 2), rtol=1e-5
        )

    @pytest.mark.slow
    @pytest.mark.parametrize("aggregator", [None, "pcgrad"])
    @pytest.mark.parametrize("weighting", [None, "uncertainty"])
    def test_an_eager_batch_with_no_example(self, aggregator, weighting):
        """It changes no log and, with plain SGD, no weight."""
        x, y = make_data()

        class Batches(keras.utils.PyDataset):
            def __len__(self):
                return 2

            def __getitem__(self, index):
                rows = slice(0 if index else None)
                return x[rows], {k: v[rows] for k, v in y.items()}

        found = []
        for batches in (2, 1):
            model = make_model()
            model.compile(
                keras.optimizers.SGD(0.1),
                loss=LOSS,
                metrics={"b": ["mae"]},
                missing_label={"a": -1, "b": float("nan")},
                aggregator=aggregator,
                weighting=weighting,
                run_eagerly=True,
            )
            history = model.fit(
                Batches(), steps_per_epoch=batches, shuffle=False, verbose=0
            ).history
            # Its gradients were seen in both, or in one.
            history.pop("gradient_conflict", None)
            found.append((history, model.get_weights()))
        (logs, weights), (expected_logs, expected) = found
        for name, values in expected_logs.items():
            assert logs[name] == pytest.approx(values), name
        for one, other in zip(weights, expected):
            if one.shape:
                np.testing.assert_allclose(one, other, atol=1e-7)


class TestHalfPrecision:
    @pytest.mark.slow
    @pytest.mark.parametrize("aggregator", [None, "sum", "pcgrad"])
    @pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
    def test_regularisers_in_two_precisions(self, aggregator, policy):
        """Stock Keras on TensorFlow cannot add up these losses."""
        keras.config.set_dtype_policy(policy)
        inputs = keras.Input((4,))
        shared = layers.Dense(
            6, "tanh", activity_regularizer="l2", kernel_regularizer="l2"
        )
        hidden = shared(inputs)
        outputs = {
            "a": layers.Dense(3, name="a")(hidden),
            "b": layers.Dense(1, name="b", dtype="float32")(hidden),
        }
        model = MultiTaskModel(inputs, outputs)
        loss = {
            "a": keras.losses.SparseCategoricalCrossentropy(
                from_logits=True, dtype="float32"
            ),
            "b": keras.losses.MeanSquaredError(dtype=policy[6:]),
        }
        model.compile(
            keras.optimizers.SGD(0.0),
            loss=loss,
            aggregator=aggregator,
            jit_compile=False,
        )
        x, y = make_data()
        logs = model.train_on_batch(x, y, return_dict=True)
        kernel, bias = (np.array(w, "float64") for w in shared.get_weights())
        activity = np.sum(np.tanh(x @ kernel + bias) ** 2) / len(x)
        penalty = 0.01 * (np.sum(kernel**2) + activity)
        expected = logs["a_loss"] + logs["b_loss"] + penalty
        np.testing.assert_allclose(logs["loss"], expected, rtol=5e-3)


class TestSampleWeight:
    @pytest.mark.parametrize("aggregator", [None, "pcgrad"])
    def test_of_some_outputs(self, aggregator):
        """In arrays and in a dataset, for losses and for metrics."""
        x, y = make_data()
        weights = {"b": np.linspace(0.0, 2.0, ROWS, dtype="float32")}
        model = make_model()
        model.compile(
            keras.optimizers.SGD(0.0),
            loss=LOSS,
            aggregator=aggregator,
            weighted_metrics={"a": ["accuracy"], "b": ["mae"]},
            **QUICK,
        )
        batches = tf.data.Dataset.from_tensor_slices((x, y, weights))
        logs = [
            model.train_on_batch(x, y, weights, return_dict=True),
            model.evaluate(
                x, y, ROWS, 0, sample_weight=weights, return_dict=True
            ),
            model.evaluate(batches.batch(ROWS), verbose=0, return_dict=True),
        ]
        predictions = model.predict(x, verbose=0)
        errors = (predictions["b"] - y["b"])[:, 0]
        hits = predictions["a"].argmax(-1) == y["a"]
        for found in logs:
            expected = {
                "b_loss": np.mean(weights["b"] * errors**2),
                "b_mae": np.average(np.abs(errors), weights=weights["b"]),
                "a_accuracy": np.mean(hits),
            }
            for name, value in expected.items():
                np.testing.assert_allclose(found[name], value, rtol=1e-5)


class TestClassWeight:
    @pytest.mark.parametrize("aggregator", [None, "pcgrad"])
    @pytest.mark.parametrize("with_weights", [False, True])
    def test_is_a_sample_weight_of_the_task(self, aggregator, with_weights):
        x, y = make_data()
        y["b"] = np.eye(3, dtype="float32")[y["a"][::-1]]
        by_class = {"a": {0: 2.0, 2: 0.25}, "b": {1: 3.0}}
        given = np.linspace(0.5, 1.5, ROWS, dtype="float32")
        weights = {
            "a": np.array([2.0, 1.0, 0.25])[y["a"]],
            "b": np.array([1.0, 3.0, 1.0])[y["a"][::-1]],
        }
        if with_weights:
            weights = {k: v * given for k, v in weights.items()}
        logs, trained = [], []
        for way in ("class", "sample"):
            keras.utils.set_random_seed(0)
            inputs = keras.Input((4,))
            shared = layers.Dense(5, name="shared")(inputs)
            outputs = {
                name: layers.Dense(3, name=name)(shared) for name in "ab"
            }
            model = MultiTaskModel(inputs, outputs)
            loss = {"a": CROSS_ENTROPY, "b": "mse"}
            model.compile(
                "sgd",
                loss=loss,
                weighted_metrics={"a": ["accuracy"]},
                aggregator=aggregator,
                **QUICK,
            )
            arguments: dict[str, Any] = {"sample_weight": weights}
            if way == "class":
                plain = {"a": given, "b": given} if with_weights else None
                arguments = {"class_weight": by_class, "sample_weight": plain}
            history = model.fit(
                x, y, batch_size=8, shuffle=False, verbose=0, **arguments
            )
            logs.append(history.history)
            trained.append(model.get_weights())
        for one, other in zip(*trained):
            np.testing.assert_allclose(one, other, atol=1e-6)
        for name, value in logs[0].items():
            np.testing.assert_allclose(value, logs[1][name], rtol=1e-5)

    @pytest.mark.slow
    def test_counts_in_one_call_of_fit_only(self):
        x, y = make_data()
        found = []
        for class_weight in ({"a": {0: 0.0, 1: 0.0, 2: 0.0}}, None):
            model = make_model()
            model.compile(
                keras.optimizers.SGD(0.0), LOSS, aggregator="sum", **QUICK
            )
            fit = {"batch_size": ROWS, "verbose": 0}
            model.fit(x, y, class_weight=class_weight, **fit)
            second = model.fit(x, y, validation_data=(x, y), **fit)
            found.append(second.history["a_loss"])
        assert found[0] == found[1] and found[0][0] > 0


class TestModelClasses:
    def test_functional_and_subclassed_in_one_process(self):
        class Own(MultiTaskModel):
            def train_me(self):
                return "own"

        class Subclassed(MultiTaskModel):
            def __init__(self):
                super().__init__()
                self.dense = layers.Dense(2)

            def call(self, inputs):
                return self.dense(inputs)

        inputs = keras.Input((4,))
        tensor = layers.Dense(2, name="out")(inputs)
        functional = Own(inputs, tensor)
        assert functional.train_me() == "own"
        assert functional.get_layer("out") is not None
        x = np.ones((2, 4), "float32")
        for model in (functional, Subclassed(), MultiTaskModel(inputs, tensor)):
            assert isinstance(model, MultiTaskModel)
            assert isinstance(model, keras.Model)
            assert tuple(model(x).shape) == (2, 2)
        assert "Functional" not in [c.__name__ for c in MultiTaskModel.__mro__]

    def test_compiling_anew_changes_the_method(self):
        model = make_model()
        first = gradients(model=model, aggregator="mean")
        names = [v.path for v in model.variables]
        model = make_model()
        gradients(
            model=model,
            aggregator=aggregators.Projection("a"),
            optimizer=keras.optimizers.SGD(0.0),
        )
        assert len(model.variables) > len(names)
        second = gradients(model=model, aggregator="mean")
        assert_close(first, second)
        assert len(model.variables) == len(names)
        assert "gradient_conflict" in [m.name for m in model.metrics]
        gradients(model=model, aggregator=None)
        assert "gradient_conflict" not in [m.name for m in model.metrics]


class TestEqualLosses:
    """Outputs without names are called after their losses."""

    @staticmethod
    def make_pair(cls):
        class Pair(cls):
            def __init__(self):
                super().__init__()
                self.shared = layers.Dense(2)
                self.heads = [layers.Dense(1), layers.Dense(1)]

            def call(self, inputs):
                shared = self.shared(inputs)
                return [head(shared) for head in self.heads]

        keras.utils.set_random_seed(0)
        return Pair()

    @pytest.mark.slow
    @pytest.mark.parametrize("aggregator", [None, "sum"])
    def test_of_a_subclassed_model_train_as_in_keras(self, aggregator):
        x = np.ones((4, 3), "float32")
        y = [np.zeros((4, 1)), np.ones((4, 1))]
        found = []
        own = {"aggregator": aggregator}
        for cls, own in ((keras.Model, {}), (MultiTaskModel, own)):
            model = self.make_pair(cls)
            model.compile("sgd", ["mse", "mse"], **own, **QUICK)
            logs = model.fit(x, y, epochs=2, verbose=0).history
            found.append((logs, model.get_weights()))
        (stock_logs, stock_weights), (logs, weights) = found
        for theirs, ours in zip(stock_weights, weights):
            np.testing.assert_allclose(ours, theirs, rtol=1e-5)
        assert logs.pop("gradient_conflict", None) is None or aggregator
        # Keras shows the second of the two losses that it calls "mse_loss".
        second = "mse_loss" if aggregator is None else "mse_1_loss"
        np.testing.assert_allclose(logs[second], stock_logs["mse_loss"])
        expected = {"loss", "mse_loss"} | ({second} if aggregator else set())
        assert set(logs) == expected and set(stock_logs) == {"loss", "mse_loss"}


MIRRORED = """
import os
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
import numpy as np
import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(
    cpu, [tf.config.LogicalDeviceConfiguration()] * 2
)
import keras
from keras import layers
from keras_mtl import MultiTaskModel, aggregators, weightings

def late(step):
    return keras.ops.cast(step, "float32") / 2

RULES = {
    "pcgrad, schedule": lambda: {
        "aggregator": aggregators.PCGrad(seed=1),
        "weighting": weightings.Schedule({"a": late}),
    },
    "projection, svd": lambda: {
        "aggregator": aggregators.Projection("b"),
        "weighting": weightings.SVDWeights({"a": 0.5}),
    },
    "mgda_ub": lambda: {"aggregator": "mgda", "representation": "shared"},
    "of losses": lambda: {"aggregator": aggregators.MGDA("loss")},
    "averages": lambda: {"aggregator": aggregators.DBMTL(beta=0.5)},
    "targets": lambda: {"aggregator": aggregators.GradVac(seed=1)},
    "mgda, random": lambda: {
        "weighting": weightings.RandomLossWeighting(seed=1),
        "aggregator": "mgda",
    },
}

def train(rule):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4,))
    shared = layers.Dense(
        6, "tanh", kernel_regularizer="l2", name="shared"
    )(inputs)
    names = ["a", "b", "c"]
    model = MultiTaskModel(
        inputs, {n: layers.Dense(1, name=n)(shared) for n in names}
    )
    rng = np.random.default_rng(0)
    x = rng.normal(size=(24, 4)).astype("float32")
    y = {n: rng.normal(size=(24, 1)).astype("float32") for n in names}
    model.compile(
        keras.optimizers.SGD(0.1),
        loss=dict.fromkeys(names, "mse"),
        jit_compile=False,
        **rule(),
    )
    logs = model.fit(
        x, y, batch_size=12, epochs=2, shuffle=False, verbose=0
    ).history
    values = [np.array(v) for v in model.variables]
    return values, logs

strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
assert strategy.num_replicas_in_sync == 2
for name, rule in RULES.items():
    one, one_logs = train(rule)
    with strategy.scope():
        two, two_logs = train(rule)
    gap = max(np.abs(a - b).max() for a, b in zip(one, two))
    assert one_logs.keys() == two_logs.keys(), (one_logs, two_logs)
    log_gap = max(
        np.abs(np.subtract(one_logs[k], two_logs[k])).max() for k in one_logs
    )
    print(name, "gap", gap, "logs", log_gap, one_logs, two_logs)
    assert gap < 1e-5 and log_gap < 1e-5, (name, gap, log_gap)
"""


@pytest.mark.slow
@pytest.mark.skipif(not ON_TENSORFLOW, reason="tf.distribute is TensorFlow's")
def test_two_replicas_equal_one_device():
    # One strategy a process is all that TensorFlow can do.
    done = subprocess.run(
        [sys.executable, "-c", MIRRORED],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    print(done.stdout)
    assert done.returncode == 0, done.stderr[-3000:]


class TestSizeOfGradients:
    """Float32 has gradients of 1e-20 and 1e20, and not their squares."""

    def step(self, method, size):
        """Weights after a step of one size, whatever the losses' is."""
        x, y = make_data()
        model = make_model()
        model.compile(
            keras.optimizers.SGD(1 / size),
            loss=LOSS,
            loss_weights={"a": size, "b": size},
            aggregator=AGGREGATORS[method](),
            **QUICK,
        )
        logs = model.train_on_batch(x, y, return_dict=True)
        return model.get_weights(), logs["gradient_conflict"]

    @pytest.mark.parametrize("size", [1e-20, 1e19])
    @pytest.mark.parametrize("method", ["pcgrad", "mgda", "projection_of_b"])
    def test_changes_nothing(self, method, size):
        expected, conflict = self.step(method, 1.0)
        weights, found = self.step(method, size)
        assert found == conflict
        for left, right in zip(weights, expected):
            np.testing.assert_allclose(left, right, atol=1e-5)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
