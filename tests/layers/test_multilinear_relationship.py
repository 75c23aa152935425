import json
from collections.abc import Callable

import keras
import numpy as np
import pytest
from keras import layers
from keras import ops

from keras_mtl.layers import MultilinearRelationship
from tests.arrays import features
from tests.arrays import numpy

TASKS = ["a", "b", "c", "d"]
MODES = ["features", "classes", "tasks"]
ON_TENSORFLOW = keras.backend.backend() == "tensorflow"
QUICK = {"jit_compile": False} if ON_TENSORFLOW else {}


def relationship(
    shape: tuple[int, int, int] = (2, 3, 4), **arguments
) -> MultilinearRelationship:
    """A built layer with kernels `[D, C, T]` of normal numbers."""
    layer = MultilinearRelationship(shape[1], TASKS[: shape[2]], **arguments)
    layer.build((None, shape[0]))
    set_kernel(layer, features(*shape, seed=5))
    return layer


def set_kernel(layer: MultilinearRelationship, kernel: np.ndarray) -> None:
    for task, variable in enumerate(layer.kernels):
        variable.assign(kernel[:, :, task])


def kernel_of(layer: MultilinearRelationship) -> np.ndarray:
    kernels = [numpy(kernel) for kernel in layer.kernels]
    return np.stack(kernels, axis=-1).astype("float64")


def call(layer: MultilinearRelationship) -> float:
    """The penalty that a call adds."""
    layer(features(1, layer.kernels[0].shape[0]))
    (loss,) = layer.losses
    assert keras.backend.standardize_dtype(loss.dtype) == "float32"
    return float(loss)


def trainer(layer: MultilinearRelationship) -> Callable[[], float]:
    """A training step that leaves the weights, and gives the penalty."""
    inputs = keras.Input((layer.kernels[0].shape[0],))
    model = keras.Model(inputs, layer(inputs))
    model.compile(
        keras.optimizers.SGD(0.0),
        {task: no_loss for task in layer.tasks},
        **QUICK,
    )
    x = features(2, inputs.shape[-1])
    y = {task: features(2, layer.units) for task in layer.tasks}
    return lambda: model.train_on_batch(x, y, return_dict=True)["loss"]


def no_loss(y_true, y_pred):
    return 0.0 * ops.mean(y_pred, axis=-1)


def covariance(size: int, seed: int) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(size, size + 2))
    return rows @ rows.T


def set_covariances(layer: MultilinearRelationship, *given) -> None:
    for factor, matrix in zip(layer.factors, given, strict=True):
        factor.assign(np.linalg.inv(np.linalg.cholesky(matrix)))


def covariances_of(layer: MultilinearRelationship) -> list[np.ndarray]:
    factors = [numpy(factor).astype("float64") for factor in layer.factors]
    return [np.linalg.inv(factor.T @ factor) for factor in factors]


def kronecker(*matrices: np.ndarray) -> np.ndarray:
    result = np.eye(1)
    for matrix in matrices:
        result = np.kron(result, matrix)
    return result


class TestPenalty:
    def test_of_identities_is_half_the_squared_norm(self):
        layer = relationship(strength=0.3)
        expected = 0.3 / 2 * np.sum(kernel_of(layer) ** 2)
        np.testing.assert_allclose(call(layer), expected, rtol=1e-6)

    @pytest.mark.parametrize("log_determinant", [False, True])
    def test_is_the_kronecker_form(self, log_determinant):
        layer = relationship(strength=0.3, log_determinant=log_determinant)
        given = [covariance(size, seed=size) for size in (2, 3, 4)]
        set_covariances(layer, *given)
        full, vector = kronecker(*given), kernel_of(layer).ravel()
        expected = vector @ np.linalg.solve(full, vector)
        if log_determinant:
            expected += np.linalg.slogdet(full)[1]
        np.testing.assert_allclose(call(layer), 0.15 * expected, rtol=1e-4)

    def test_takes_modes_that_are_not_learned_for_identities(self):
        layer = relationship(strength=2.0, modes=["tasks", "features"])
        # In the order of the axes, whatever was given.
        assert layer.modes == ["features", "tasks"]
        given = [covariance(2, seed=1), covariance(4, seed=2)]
        set_covariances(layer, *given)
        full = kronecker(given[0], np.eye(3), given[1])
        vector = kernel_of(layer).ravel()
        expected = vector @ np.linalg.solve(full, vector)
        np.testing.assert_allclose(call(layer), expected, rtol=1e-4)

    @pytest.mark.slow
    @pytest.mark.parametrize("update_every", [1, 100])
    def test_gradient_takes_the_covariances_for_constants(self, update_every):
        layer = relationship(
            strength=0.1, activation="tanh", update_every=update_every
        )
        given = [covariance(size, seed=size) for size in (2, 3, 4)]
        set_covariances(layer, *given)
        kernel = kernel_of(layer)
        inputs = keras.Input((2,))
        model = keras.Model(inputs, layer(inputs))
        model.compile(
            keras.optimizers.SGD(1.0),
            {task: no_loss for task in TASKS},
            **QUICK,
        )
        y = {task: features(3, 3) for task in TASKS}
        model.train_on_batch(features(3, 2), y)
        # Those of this step, where it has updated them.
        full = kronecker(*covariances_of(layer))
        step = np.linalg.solve(full, kernel.ravel())
        expected = kernel - 0.1 * step.reshape(kernel.shape)
        np.testing.assert_allclose(kernel_of(layer), expected, atol=1e-4)


def flip_flop(kernel, covariances, modes, shrinkage):
    """One update as the docstring has it, with Kronecker products."""
    state = dict(zip(modes, covariances, strict=True))
    for axis, mode in enumerate(MODES):
        if mode not in modes:
            continue
        size = kernel.shape[axis]
        rows = np.moveaxis(kernel, axis, 0).reshape(size, -1)
        others = kronecker(
            *(
                state.get(other, np.eye(kernel.shape[place]))
                for place, other in enumerate(MODES)
                if other != mode
            )
        )
        moments = rows @ np.linalg.solve(others, rows.T)
        share = shrinkage or size / (size + rows.shape[1])
        state[mode] = (1 - share) * moments * size / np.trace(moments)
        state[mode] += share * np.eye(size)
    return [state[mode] for mode in modes]


class TestUpdate:
    @pytest.mark.slow
    @pytest.mark.parametrize(
        "modes, shrinkage", [(MODES, None), (["classes", "tasks"], 0.1)]
    )
    def test_is_the_flip_flop_of_all_modes(self, modes, shrinkage):
        layer = relationship(
            (5, 3, 4), update_every=1, modes=modes, shrinkage=shrinkage
        )
        expected = covariances_of(layer)
        step = trainer(layer)
        for seed in range(3):
            set_kernel(layer, features(5, 3, 4, seed=seed))
            expected = flip_flop(kernel_of(layer), expected, modes, shrinkage)
            step()
            for found, matrix in zip(
                covariances_of(layer), expected, strict=True
            ):
                np.testing.assert_allclose(found, matrix, atol=1e-4)
                assert np.trace(found) == pytest.approx(len(found), rel=1e-4)

    @pytest.mark.slow
    def test_comes_every_so_many_training_steps(self):
        layer = relationship(update_every=3)
        step = trainer(layer)
        changed = []
        for seed in range(7):
            before = [numpy(factor) for factor in layer.factors]
            step()
            # What is done in between without training does not count.
            call(layer)
            after = [numpy(factor) for factor in layer.factors]
            moved = [np.any(a != b) for a, b in zip(before, after, strict=True)]
            assert all(moved) or not any(moved)
            changed.append(moved[0])
            set_kernel(layer, features(2, 3, 4, seed=seed))
        assert changed == [False, False, True, False, False, True, False]

    def test_leaves_a_frozen_layer_alone(self):
        layer = relationship(update_every=1)
        layer.trainable = False
        layer(features(1, 2), training=True)
        assert layer.losses == []
        for factor in map(numpy, layer.factors):
            np.testing.assert_array_equal(factor, np.eye(len(factor)))

    @pytest.mark.slow
    def test_learns_nothing_from_kernels_that_say_nothing(self):
        layer = relationship(update_every=1)
        step = trainer(layer)
        step()
        before = [numpy(factor) for factor in layer.factors]
        for value in (0.0, np.nan, np.inf, 1e30):
            set_kernel(layer, np.full((2, 3, 4), value))
            assert np.isfinite(step()) == (value == 0)
            for old, factor in zip(before, layer.factors, strict=True):
                np.testing.assert_array_equal(numpy(factor), old)

    @pytest.mark.slow
    def test_does_not_depend_on_the_scale_of_the_weights(self):
        layer = relationship(update_every=1)
        step = trainer(layer)
        found = []
        for scale in (1e-10, 1.0, 1e10):
            set_covariances(layer, np.eye(2), np.eye(3), np.eye(4))
            set_kernel(layer, scale * features(2, 3, 4))
            step()
            found.append([numpy(factor) for factor in layer.factors])
        for factors in found:
            for a, b in zip(factors, found[1], strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)

    @pytest.mark.slow
    def test_of_singular_covariances_stays_finite(self):
        layer = relationship((200, 2, 3), update_every=1, shrinkage=1e-12)
        column = features(200, 1, 1)
        set_kernel(layer, column * np.ones((1, 2, 3)))
        step = trainer(layer)
        assert all(np.isfinite(step()) for _ in range(3))
        for factor in layer.factors:
            assert np.all(np.isfinite(numpy(factor)))

    @pytest.mark.slow
    def test_finds_the_covariances_that_kernels_were_drawn_from(self):
        tasks = np.array([[1.0, 0.8, 0.0], [0.8, 1.0, 0.3], [0.0, 0.3, 1.0]])
        classes = np.array([[1.0, -0.6], [-0.6, 1.0]])
        kernel = np.einsum(
            "abc,a,jb,kc->ajk",
            np.random.default_rng(0).normal(size=(200, 2, 3)),
            np.linspace(0.5, 2.0, 200),
            np.linalg.cholesky(classes),
            np.linalg.cholesky(tasks),
        )
        layer = relationship((200, 2, 3), update_every=1)
        set_kernel(layer, kernel)
        step = trainer(layer)
        for _ in range(5):
            step()
        _, *found = covariances_of(layer)
        np.testing.assert_allclose(found[0], classes, atol=0.12)
        np.testing.assert_allclose(found[1], tasks, atol=0.12)

    @pytest.mark.slow
    def test_needs_more_of_the_identity_than_the_paper_adds(self):
        """Why `shrinkage` goes by size; see the docstring of the layer."""
        shared = features(64, 2, 1) * np.array([1.0, 1.0, -1.0])
        kernel = shared + 0.3 * features(64, 2, 3, seed=1)
        found = []
        for shrinkage in (None, 1e-5):
            layer = relationship(
                (64, 2, 3), update_every=1, shrinkage=shrinkage
            )
            set_kernel(layer, kernel)
            trainer(layer)()
            found.append(layer.sharing_matrices()[0].values)
        signs = np.array([[1, 1, -1], [1, 1, -1], [-1, -1, 1]])
        assert np.all(found[0] * signs > 0.7)
        np.testing.assert_allclose(found[1], np.eye(3), atol=0.02)


def train(**arguments) -> tuple[MultilinearRelationship, float]:
    """Trains two equal tasks and one opposed; the layer, and its error."""
    signs = {"a": 1, "b": 1, "c": -1}
    layer = MultilinearRelationship(
        4, list(signs), strength=0.3, update_every=10, **arguments
    )
    inputs = {task: keras.Input((40,), name=task) for task in signs}
    model = keras.Model(inputs, layer(inputs))
    model.compile(keras.optimizers.Adam(0.02), "mse", **QUICK)
    teacher = features(40, 4, seed=9) / 40**0.5
    # As many noisy examples for each task as it has features. One epoch of
    # many steps takes less time than many of one.
    x, y = {}, {}
    for seed, (task, sign) in enumerate(signs.items()):
        few, noise = features(40, 40, seed=seed), features(40, 4, seed=seed + 5)
        x[task] = np.tile(few, (200, 1))
        y[task] = np.tile(few @ teacher * sign + noise / 2, (200, 1))
    model.fit(x, y, batch_size=40, shuffle=False, verbose=0)
    errors = [
        numpy(kernel) - sign * teacher
        for kernel, sign in zip(layer.kernels, signs.values(), strict=True)
    ]
    return layer, float(np.mean(np.square(errors)))


class TestRelatedTasks:
    @pytest.mark.slow
    def test_get_correlations_near_one_and_help_each_other(self):
        layer, error = train()
        (matrix,) = layer.sharing_matrices()
        expected = [[1, 1, -1], [1, 1, -1], [-1, -1, 1]]
        np.testing.assert_allclose(matrix.values, expected, atol=0.05)
        assert matrix.rows == matrix.columns == TASKS[:3]
        assert (matrix.low, matrix.high) == (-1, 1)
        # A share of one is all identity, which is plain L2.
        _, alone = train(shrinkage=1.0)
        assert error < 0.5 * alone

    def test_are_not_shown_where_they_are_not_learned(self):
        assert relationship(modes=["classes"]).sharing_matrices() == []


class TestDense:
    @pytest.mark.parametrize("use_bias", [True, False])
    def test_outputs_are_those_of_dense_layers(self, use_bias):
        layer = MultilinearRelationship(
            3,
            TASKS,
            activation="relu",
            use_bias=use_bias,
            bias_initializer="normal",
        )
        x = features(2, 6, 5)
        outputs = layer(x)
        assert list(outputs) == TASKS
        for index, task in enumerate(TASKS):
            expected = x @ numpy(layer.kernels[index])
            if use_bias:
                expected = expected + numpy(layer.biases[index])
            np.testing.assert_allclose(
                numpy(outputs[task]), np.maximum(expected, 0), atol=1e-5
            )
        assert layer.compute_output_shape((None, None, 5)) == dict.fromkeys(
            TASKS, (None, None, 3)
        )
        assert len(layer.trainable_weights) == 4 * (1 + use_bias)

    def test_a_dictionary_and_a_list_give_each_task_its_own_tensor(self):
        layer = MultilinearRelationship(3, TASKS[:2])
        a, b = features(6, 5), features(2, 4, 5, seed=1)
        for y in (layer({"b": b, "a": a}), layer([a, b])):
            for task, x, kernel in zip(
                TASKS[:2], (a, b), layer.kernels, strict=True
            ):
                np.testing.assert_allclose(
                    numpy(y[task]), x @ numpy(kernel), atol=1e-5
                )

    @pytest.mark.parametrize(
        "initializer",
        [
            "glorot_uniform",
            keras.initializers.GlorotUniform(seed=3),
            keras.initializers.GlorotUniform(keras.random.SeedGenerator(3)),
        ],
    )
    def test_kernels_start_apart_and_as_those_of_a_dense_layer(
        self, initializer
    ):
        layer = MultilinearRelationship(
            30, TASKS, kernel_initializer=initializer
        )
        layer.build((None, 40))
        kernels = [numpy(kernel) for kernel in layer.kernels]
        for index, kernel in enumerate(kernels):
            assert np.abs(kernel).max() == pytest.approx(
                np.sqrt(6 / 70), rel=0.02
            )
            for other in kernels[:index]:
                assert np.abs(kernel - other).max() > 0.1

    def test_an_initializer_may_be_a_function(self):
        layer = MultilinearRelationship(
            3, TASKS, kernel_initializer=keras.ops.ones
        )
        layer.build((None, 2))
        np.testing.assert_array_equal(kernel_of(layer), np.ones((2, 3, 4)))

    def test_masks_go_with_the_steps(self):
        tokens = ops.convert_to_tensor([[1, 2, 0, 0]])
        embedded = layers.Embedding(5, 4, mask_zero=True)(tokens)
        layer = MultilinearRelationship(3, TASKS[:2])
        plain = features(1, 4, 4)
        both = layer(embedded)
        one = layer({"a": embedded, "b": plain})
        expected = [[True, True, False, False]]
        for y in (both["a"], both["b"], one["a"]):
            np.testing.assert_array_equal(numpy(y._keras_mask), expected)
        assert getattr(one["b"], "_keras_mask", None) is None

    @pytest.mark.slow
    @pytest.mark.parametrize("inside_a_model", [True, False])
    def test_follows_its_dtype_policy(self, inside_a_model):
        layer = MultilinearRelationship(
            3, TASKS, strength=2.0, update_every=1, dtype="mixed_float16"
        )
        inputs = keras.Input((5,))
        model = keras.Model(inputs, layer(inputs))
        # Squares that float16 would lose.
        set_kernel(layer, 1e-5 * features(5, 3, 4))
        called = model if inside_a_model else layer
        y = called(features(2, 5))
        assert keras.backend.standardize_dtype(y["a"].dtype) == "float16"
        (loss,) = called.losses
        expected = np.sum(kernel_of(layer) ** 2)
        assert float(loss) == pytest.approx(expected, rel=1e-4)
        trainer(layer)()
        expected = flip_flop(
            kernel_of(layer), [np.eye(5), np.eye(3), np.eye(4)], MODES, None
        )
        for found, matrix in zip(covariances_of(layer), expected, strict=True):
            np.testing.assert_allclose(found, matrix, atol=1e-4)


@pytest.mark.slow
def test_goes_on_from_a_file_as_if_it_had_never_stopped(tmp_path):
    inputs = keras.Input((5,))
    hidden = layers.Dense(4)(inputs)
    outputs = MultilinearRelationship(
        3,
        TASKS[:2],
        activation="tanh",
        strength=0.2,
        update_every=3,
        shrinkage=0.2,
        modes=["classes", "tasks"],
        log_determinant=True,
        kernel_initializer="he_normal",
    )(hidden)
    model = keras.Model(inputs, outputs)
    model.compile("adam", "mse", jit_compile=True)
    x, y = features(8, 5), {t: features(8, 3) for t in TASKS[:2]}
    for _ in range(4):
        model.train_on_batch(x, y)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    configs = [
        json.dumps(m.layers[-1].get_config(), sort_keys=True)
        for m in (model, loaded)
    ]
    assert configs[0] == configs[1]
    # The second of these steps is the sixth in all, which updates.
    before = numpy(model.layers[-1].factors[0])
    for _ in range(2):
        losses = [m.train_on_batch(x, y) for m in (model, loaded)]
        np.testing.assert_allclose(losses[0], losses[1], rtol=1e-6)
    assert np.any(numpy(model.layers[-1].factors[0]) != before)
    for a, b in zip(model.weights, loaded.weights, strict=True):
        np.testing.assert_allclose(numpy(a), numpy(b), atol=1e-6)


@pytest.mark.skipif(not ON_TENSORFLOW, reason="exports through TensorFlow")
def test_exports(tmp_path):
    import tensorflow as tf

    inputs = keras.Input((5,))
    layer = MultilinearRelationship(3, TASKS)
    model = keras.Model(inputs, layer(inputs))
    model.export(tmp_path / "exported", verbose=False)
    served = tf.saved_model.load(str(tmp_path / "exported"))
    x = features(3, 5)
    for task, value in model(x).items():
        np.testing.assert_allclose(
            numpy(served.serve(x)[task]), numpy(value), atol=1e-6
        )


@pytest.mark.parametrize(
    "arguments, message",
    [
        (dict(units=0), "`units`.*from 1 up.*units=0"),
        (dict(tasks="ab"), "`tasks`.*Received: tasks='ab'"),
        (dict(strength=-1), "`strength`.*Received: strength=-1"),
        (dict(update_every=0), "`update_every`.*Received: update_every=0"),
        (dict(shrinkage=0), "`shrinkage`.*Received: shrinkage=0"),
        (dict(shrinkage=1.5), "`shrinkage`.*at most 1.*shrinkage=1.5"),
        (dict(modes=[]), r"`modes`.*features.*Received: modes=\[\]"),
        (dict(modes=["task"]), r"`modes`.*Received: modes=\['task'\]"),
        (dict(use_bias="no"), "`use_bias`.*True or False.*'no'"),
        (dict(log_determinant=2), "`log_determinant`.*True or False.*=2"),
        (dict(modes="tasks"), "`modes`.*Received: modes='tasks'"),
        (dict(modes=["tasks"] * 2), "`modes`.*each once"),
    ],
)
def test_refuses_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        MultilinearRelationship(**{"units": 3, "tasks": TASKS, **arguments})


@pytest.mark.parametrize(
    "shapes",
    [
        {"a": (None, 3), "b": (None, 4)},
        {"a": (None, 3), "b": (3,)},
        (None, None),
    ],
)
def test_refuses_features_of_unknown_or_different_number(shapes):
    layer = MultilinearRelationship(3, TASKS[:2], name="heads")
    with pytest.raises(ValueError, match="'heads' needs inputs.*'a' of shape"):
        layer.build(shapes)


def test_refuses_inputs_of_other_tasks():
    layer = MultilinearRelationship(3, TASKS[:2], name="heads")
    with pytest.raises(ValueError, match="'heads' takes the tasks"):
        layer({"a": features(2, 3), "z": features(2, 3)})


def test_shows_nothing_before_it_is_built():
    layer = MultilinearRelationship(3, ["a", "b"])
    with pytest.raises(ValueError, match="has no weights yet"):
        layer.sharing_matrices()


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
