import itertools

import keras
import numpy as np
import pytest
from keras import layers
from keras import ops

from keras_mtl.layers import SoftSharing
from tests.arrays import features
from tests.arrays import numpy

TASKS = ["a", "b", "c"]
ON_TENSORFLOW = keras.backend.backend() == "tensorflow"


def tower(units: int = 3) -> keras.Model:
    return keras.Sequential(
        [
            layers.Dense(4, bias_initializer="normal"),
            layers.BatchNormalization(),
            layers.Dense(units, bias_initializer="normal"),
        ]
    )


def penalty(sharing: SoftSharing, *shape: int) -> float:
    sharing(features(*(shape or (2, 5))))
    (loss,) = sharing.losses
    assert keras.backend.standardize_dtype(loss.dtype) == "float32"
    return float(loss)


def values(sharing: SoftSharing, *places: int) -> list[list[np.ndarray]]:
    """Weights of the copies at these places, in float64."""
    return [
        [numpy(copy.weights[p]).astype("float64") for copy in sharing.copies]
        for p in places
    ]


def squared_distances(weights: list[list[np.ndarray]]) -> float:
    return sum(
        np.sum((a - b) ** 2)
        for tasks in weights
        for a, b in itertools.combinations(tasks, 2)
    )


def trace_norms(weights: list[list[np.ndarray]]) -> float:
    return sum(
        np.linalg.svd(
            np.stack([w.ravel() for w in tasks]), compute_uv=False
        ).sum()
        for tasks in weights
    )


def set_kernels(sharing: SoftSharing, kernels: list[np.ndarray]) -> None:
    for copy, kernel in zip(sharing.copies, kernels, strict=True):
        copy.kernel.assign(kernel)


def gradient_step(
    sharing: SoftSharing, features_in: int, jit_compile: bool = False
) -> list[np.ndarray]:
    """What a step of the penalty alone takes from the trainable weights."""
    inputs = keras.Input((features_in,))
    model = keras.Model(inputs, sharing(inputs))
    model.compile(
        keras.optimizers.SGD(1.0),
        {task: lambda y, p: 0.0 * ops.mean(p, axis=-1) for task in TASKS},
        # Compiling takes longer than all the rest.
        jit_compile=jit_compile or not ON_TENSORFLOW,
    )
    before = [numpy(w) for w in sharing.trainable_weights]
    x = features(2, features_in)
    model.train_on_batch(x, {task: features(2, 1) for task in TASKS})
    return [
        b - numpy(w)
        for b, w in zip(before, sharing.trainable_weights, strict=True)
    ]


class TestSquaredDistance:
    def test_is_summed_over_pairs_of_tasks_and_trained_variables(self):
        sharing = SoftSharing(tower(), TASKS, strength=0.3)
        found = penalty(sharing)
        # Places 4 and 5 are the averages of the normalisation.
        names = [w.name for w in sharing.copies[0].weights]
        assert names[4:6] == ["moving_mean", "moving_variance"]
        expected = squared_distances(values(sharing, 0, 1, 2, 3, 6, 7))
        np.testing.assert_allclose(found, 0.3 * expected, rtol=1e-5)

    def test_is_zero_for_equal_weights(self):
        sharing = SoftSharing(tower(), TASKS, strength=1.0)
        assert penalty(sharing) > 1.0
        for copy in sharing.copies[1:]:
            copy.set_weights(sharing.copies[0].get_weights())
        assert penalty(sharing) == 0

    def test_of_close_weights_has_its_digits(self):
        sharing = SoftSharing(layers.Dense(40), TASKS[:2], strength=1.0)
        sharing.build((None, 50))
        kernel = features(50, 40)
        other = kernel * np.float32(1 + 1e-4)
        set_kernels(sharing, [kernel, other])
        expected = np.sum((kernel.astype("float64") - other) ** 2)
        np.testing.assert_allclose(penalty(sharing, 2, 50), expected, rtol=1e-3)

    def test_gradient_for_two_tasks_is_twice_the_difference(self):
        inputs = {t: keras.Input((5,), name=t) for t in "ab"}
        sharing = SoftSharing(
            layers.Dense(3, use_bias=False), ["a", "b"], strength=0.25
        )
        model = keras.Model(inputs, sharing(inputs))
        model.compile(
            keras.optimizers.SGD(1.0),
            {t: lambda y, p: 0.0 * ops.mean(p, axis=-1) for t in "ab"},
            loss_weights={"a": 0.0, "b": 0.0},
        )
        a, b = (numpy(copy.kernel) for copy in sharing.copies)
        batch = {t: features(2, 5) for t in "ab"}
        model.train_on_batch(batch, {t: features(2, 3) for t in "ab"})
        step = 0.25 * 2 * (a - b)
        after = [numpy(copy.kernel) for copy in sharing.copies]
        np.testing.assert_allclose(after[0], a - step, atol=1e-6)
        np.testing.assert_allclose(after[1], b + step, atol=1e-6)

    @pytest.mark.slow
    def test_gradient_for_more_tasks_reaches_all_that_they_train(self):
        sharing = SoftSharing(tower(), TASKS, strength=0.1)
        sharing.build((None, 5))
        for weight in sharing.trainable_weights:
            weight.assign(features(*weight.shape, seed=len(weight.path)))
        before = values(sharing, 0, 1, 2, 3, 6, 7)
        steps = iter(gradient_step(sharing, 5))
        for task in range(3):
            for place in before:
                expected = 0.1 * sum(2 * (place[task] - w) for w in place)
                np.testing.assert_allclose(next(steps), expected, atol=1e-5)


class TestTraceNorm:
    @pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
    def test_is_that_of_numpy(self, scale):
        sharing = SoftSharing(
            tower(), TASKS, strength=0.3, norm="trace", variables="kernel"
        )
        sharing.build((None, 5))
        for index, copy in enumerate(sharing.copies):
            copy.set_weights(
                [
                    scale * features(*w.shape, seed=10 * index + place)
                    for place, w in enumerate(copy.weights)
                ]
            )
        expected = 0.3 * trace_norms(values(sharing, 0, 6))
        np.testing.assert_allclose(penalty(sharing), expected, rtol=1e-5)

    @pytest.mark.parametrize("rest", [1e-1, 1e-2, 1e-3, 1e-4])
    def test_knows_small_singular_values(self, rest):
        sharing = SoftSharing(
            layers.Dense(40, use_bias=False), TASKS, strength=1.0, norm="trace"
        )
        sharing.build((None, 50))
        left = np.linalg.qr(features(3, 3).astype("float64"))[0]
        right = np.linalg.qr(features(2000, 3).astype("float64"))[0]
        rows = left @ np.diag([1.0, rest, rest / 2]) @ right.T
        set_kernels(sharing, list(rows.reshape(3, 50, 40)))
        found = penalty(sharing, 2, 50)
        print("ERR", rest, found - (1 + 1.5 * rest))
        np.testing.assert_allclose(found, 1 + 1.5 * rest, atol=1e-5)

    @pytest.mark.slow
    def test_gradient_is_that_of_the_singular_vectors(self):
        sharing = SoftSharing(
            layers.Dense(4, use_bias=False), TASKS, strength=0.5, norm="trace"
        )
        sharing.build((None, 5))
        (kernels,) = values(sharing, 0)
        rows = np.stack([kernel.ravel() for kernel in kernels])
        u, _, v = np.linalg.svd(rows, full_matrices=False)
        expected = 0.5 * (u @ v).reshape(3, 5, 4)
        for step, value in zip(
            gradient_step(sharing, 5, True), expected, strict=True
        ):
            np.testing.assert_allclose(step, value, atol=1e-5)

    @pytest.mark.slow
    def test_gradient_is_finite_where_singular_values_are_zero_or_equal(self):
        sharing = SoftSharing(
            layers.Dense(4), TASKS, strength=1.0, norm="trace"
        )
        sharing.build((None, 5))
        kernel = features(5, 4)
        # Of rank one, and biases that are all zero.
        set_kernels(sharing, [kernel, kernel, -2 * kernel])
        np.testing.assert_allclose(
            penalty(sharing), 6**0.5 * np.linalg.norm(kernel), rtol=1e-5
        )
        steps = gradient_step(sharing, 5)
        direction = kernel / np.linalg.norm(kernel) / 6**0.5
        for task, factor in enumerate([1, 1, -2]):
            np.testing.assert_allclose(
                steps[2 * task], factor * direction, atol=1e-5
            )
            np.testing.assert_array_equal(steps[2 * task + 1], 0)
        # Orthogonal rows of one length: all singular values are equal.
        set_kernels(sharing, list(np.eye(20)[:3].reshape(3, 5, 4)))
        assert penalty(sharing) == pytest.approx(3, rel=1e-6)
        for task, step in enumerate(gradient_step(sharing, 5)[::2]):
            expected = np.eye(20)[task].reshape(5, 4)
            np.testing.assert_allclose(step, expected, atol=1e-5)

    def test_of_weights_that_are_not_finite_is_not(self):
        sharing = SoftSharing(layers.Dense(3), TASKS, norm="trace")
        sharing.build((None, 5))
        sharing.copies[1].kernel.assign(np.full((5, 3), np.nan))
        assert np.isnan(penalty(sharing))


class TestWhatIsMatched:
    def sharing(self, **arguments) -> SoftSharing:
        return SoftSharing(tower(), TASKS, strength=1.0, **arguments)

    @pytest.mark.parametrize(
        "variables, places",
        [
            ("kernel", (0, 6)),
            (["kernel", "gamma"], (0, 2, 6)),
            (["bias"], (1, 7)),
        ],
    )
    def test_variables_by_name(self, variables, places):
        sharing = self.sharing(variables=variables)
        found = penalty(sharing)
        expected = squared_distances(values(sharing, *places))
        np.testing.assert_allclose(found, expected, rtol=1e-5)

    def test_variables_by_the_end_of_their_path(self):
        layer = keras.Sequential(
            [layers.Dense(4, name="first"), layers.Dense(3, name="last")]
        )
        sharing = SoftSharing(layer, TASKS, 1.0, variables="last/kernel")
        found = penalty(sharing)
        expected = squared_distances(values(sharing, 2))
        np.testing.assert_allclose(found, expected, rtol=1e-5)

    def test_a_name_is_not_part_of_another(self):
        sharing = SoftSharing(layers.LSTM(2), TASKS, 1.0, variables="kernel")
        sharing.build((None, 3, 5))
        (matched,) = sharing._matched()
        assert [v.name for v in matched] == ["kernel"] * 3

    def test_a_frozen_copy_pulls_the_others(self):
        sharing = SoftSharing(layers.Dense(3, use_bias=False), TASKS, 0.1)
        sharing.build((None, 5))
        sharing.copies[0].trainable = False
        (kernels,) = values(sharing, 0)
        steps = gradient_step(sharing, 5)
        assert len(steps) == 2
        for task, step in zip((1, 2), steps, strict=True):
            expected = 0.1 * sum(2 * (kernels[task] - k) for k in kernels)
            np.testing.assert_allclose(step, expected, atol=1e-5)
        np.testing.assert_array_equal(
            numpy(sharing.copies[0].kernel), kernels[0].astype("float32")
        )

    def test_nothing_where_nothing_is_trained(self):
        sharing = self.sharing()
        sharing.build((None, 5))
        sharing.trainable = False
        sharing(features(2, 5))
        assert sharing.losses == []


def train(strength: float, learning_rate: float, **arguments) -> SoftSharing:
    sharing = SoftSharing(
        layers.Dense(2), TASKS, strength=strength, **arguments
    )
    inputs = keras.Input((4,))
    model = keras.Model(inputs, sharing(inputs))
    model.compile(keras.optimizers.SGD(learning_rate), "mse")
    # One epoch of many steps takes less time than many of one.
    x = features(150 * 32, 4)
    y = {t: x @ features(4, 2, seed=i + 1) for i, t in enumerate(TASKS)}
    model.fit(x, y, batch_size=32, verbose=0)
    return sharing


@pytest.mark.slow
def test_no_strength_is_independent_and_much_strength_is_one_network():
    free, tied = train(0.0, 0.1), train(100.0, 1e-3)
    apart = squared_distances(values(free, 0, 1))
    together = squared_distances(values(tied, 0, 1))
    assert apart > 1.0
    assert together < 1e-4 * apart


@pytest.mark.slow
def test_trace_norm_makes_weights_of_low_rank():
    def smallest(sharing):
        rows = np.stack([k.ravel() for k in values(sharing, 0)[0]])
        return np.linalg.svd(rows, compute_uv=False)[-1]

    assert smallest(train(0.0, 0.1)) > 0.5
    # At zero a step of the penalty goes past it, by its own length.
    assert smallest(train(2.0, 0.01, norm="trace")) < 0.03


@pytest.mark.slow
@pytest.mark.parametrize("norm", ["l2", "trace"])
def test_survives_a_file_and_is_in_the_loss(tmp_path, norm):
    inputs = {task: keras.Input((5,), name=task) for task in TASKS}
    sharing = SoftSharing(
        tower(1), TASKS, strength=0.1, norm=norm, variables=["kernel"]
    )
    model = keras.Model(inputs, sharing(inputs))
    model.compile("sgd", "mse")
    x = {task: features(16, 5) for task in TASKS}
    y = {task: features(16, 1) for task in TASKS}
    path = tmp_path / "model.keras"
    model.save(path)
    loaded = keras.saving.load_model(path)
    logs = [
        m.evaluate(x, y, verbose=0, return_dict=True) for m in (model, loaded)
    ]
    assert logs[0] == pytest.approx(logs[1], rel=1e-6)
    parts = sum(logs[0][f"{task}_loss"] for task in TASKS)
    norms = squared_distances if norm == "l2" else trace_norms
    expected = 0.1 * norms(values(sharing, 0, 6))
    assert logs[0]["loss"] - parts == pytest.approx(expected, rel=1e-3)
    copy = SoftSharing.from_config(sharing.get_config())
    assert (copy.strength, copy.norm) == (0.1, norm)
    assert copy.variables_to_match == ["kernel"]


@pytest.mark.parametrize("inside_a_model", [True, False])
def test_penalty_is_precise_where_the_weights_are_cast(inside_a_model):
    keras.config.set_dtype_policy("mixed_float16")
    sharing = SoftSharing(layers.Dense(3), ["a", "b"], strength=1.0)
    inputs = keras.Input((5,))
    model = keras.Model(inputs, sharing(inputs))
    kernel = 1 + features(5, 3) / 10
    set_kernels(sharing, [kernel, kernel + 1e-4])
    layer = model if inside_a_model else sharing
    y = layer(features(2, 5))
    assert keras.backend.standardize_dtype(y["a"].dtype) == "float16"
    (loss,) = layer.losses
    assert float(loss) == pytest.approx(15e-8, rel=1e-2)


def test_shows_the_cosines_between_weights():
    sharing = SoftSharing(layers.Dense(4, use_bias=False), TASKS)
    sharing.build((None, 5))
    kernel = features(5, 4)
    set_kernels(sharing, [kernel, -3 * kernel, 0 * kernel])
    (matrix,) = sharing.sharing_matrices()
    np.testing.assert_allclose(
        matrix.values, [[1, -1, 0], [-1, 1, 0], [0, 0, 0]], atol=1e-6
    )
    assert matrix.rows == matrix.columns == TASKS
    assert (matrix.low, matrix.high) == (-1, 1)


def test_refuses_weights_of_different_shapes():
    given = [layers.Dense(3), layers.Dense(3), layers.Dense(2)]
    with pytest.raises(ValueError, match=r"'a'.*kernel.*\(5, 2\) for 'c'"):
        SoftSharing(given, TASKS).build((None, 5))


def test_refuses_a_weight_without_counterpart():
    given = [layers.Dense(3), layers.Dense(3, use_bias=False), layers.Dense(3)]
    with pytest.raises(ValueError, match="'a' and 1 for 'b'.*bias'"):
        SoftSharing(given, TASKS).build((None, 5))


def test_refuses_layers_without_weights():
    with pytest.raises(ValueError, match="no weights.*Received"):
        SoftSharing(layers.Dropout(0.5), TASKS).build((None, 5))


def test_refuses_names_of_no_variable():
    sharing = SoftSharing(tower(), TASKS, variables=["kernel", "kernels"])
    with pytest.raises(ValueError, match="'gamma', 'kernel'.*'kernels'"):
        sharing.build((None, 5))


@pytest.mark.parametrize(
    "arguments, message",
    [
        (dict(strength=-1.0), "`strength`.*Received: strength=-1.0"),
        (dict(strength=None), "`strength`.*Received: strength=None"),
        (dict(norm="l1"), "`norm` should be one of.*'trace'.*norm='l1'"),
        (dict(variables=[]), r"`variables`.*Received: variables=\[\]"),
        (dict(variables=3), "`variables`.*Received: variables=3"),
        (dict(variables=["kernel", 1]), "`variables`.*Received"),
    ],
)
def test_refuses_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        SoftSharing(layers.Dense(3), TASKS, **arguments)


def test_shows_nothing_before_it_is_built():
    layer = SoftSharing(keras.layers.Dense(2), ["a", "b"])
    with pytest.raises(ValueError, match="has no weights yet"):
        layer.sharing_matrices()


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
