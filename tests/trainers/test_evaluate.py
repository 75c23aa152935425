"""Losses where labels are missing, and in half precision."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_mtl import MultiTaskModel
from keras_mtl import weightings
from tests.two_tasks import AGGREGATORS
from tests.two_tasks import LOSS
from tests.two_tasks import QUICK
from tests.two_tasks import ROWS
from tests.two_tasks import SHARED
from tests.two_tasks import assert_close
from tests.two_tasks import each_aggregator
from tests.two_tasks import gradients
from tests.two_tasks import make_data
from tests.two_tasks import make_model
from tests.two_tasks import task_gradients

pytestmark = pytest.mark.backend


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


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
