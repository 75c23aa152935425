"""Tests of random orders and numbers."""

import numpy as np
import pytest
from keras import ops

from keras_mtl.solvers.random_numbers import random_bits
from keras_mtl.solvers.random_numbers import random_normals
from keras_mtl.solvers.random_numbers import random_orders
from keras_mtl.solvers.random_numbers import random_uniforms
from keras_mtl.solvers.random_numbers import seed_generator
from keras_mtl.testing import compiled

# The same on every backend, compiled or not: a change of these breaks the
# repeatability of everyone's runs.
GOLDEN = {
    (3, 0): [[4, 2, 1, 3], [0, 4, 2, 3], [1, 0, 3, 4], [2, 1, 4, 0]]
    + [[0, 3, 2, 1]],
    (3, 1): [[4, 2, 1, 3], [0, 3, 2, 4], [3, 4, 1, 0], [2, 1, 4, 0]]
    + [[2, 1, 3, 0]],
}


def draw(num_tasks, num_draws, seed=0):
    """`[num_draws, T, T - 1]` orders of successive steps."""
    run = compiled(lambda key: random_orders(key, num_tasks))
    keys = np.stack(
        [np.full(num_draws, seed), np.arange(num_draws)], axis=1
    ).astype("int32")
    return np.stack([ops.convert_to_numpy(run(key)) for key in keys])


def chi_square(indices, num_cells):
    counts = np.bincount(indices, minlength=num_cells)
    expected = len(indices) / num_cells
    return ((counts - expected) ** 2 / expected).sum()


@pytest.fixture(scope="module")
def orders_of_four():
    return draw(num_tasks=4, num_draws=1500)


class TestRandomBits:
    def test_golden(self):
        bits = ops.convert_to_numpy(random_bits(np.array([1337, 7]), 4))
        assert bits.tolist() == [2633630976, 751388058, 177957624, 2141415843]

    def test_every_bit_is_fair(self):
        bits = ops.convert_to_numpy(random_bits(np.array([0, 0]), 20_000))
        ones = (bits[:, None] >> np.arange(32, dtype="uint32")) & 1
        # Five standard deviations.
        assert np.abs(ones.mean(axis=0) - 0.5).max() < 5 * 0.5 / 20_000**0.5

    def test_neighbouring_keys_are_unrelated(self):
        keys = [(0, 0), (0, 1), (1, 0), (2, 0), (1, 1)]
        words = np.stack(
            [ops.convert_to_numpy(random_bits(np.array(k), 4000)) for k in keys]
        )
        correlation = np.corrcoef(words.astype("float64")) - np.eye(len(keys))
        assert np.abs(correlation).max() < 5 / 4000**0.5


class TestSeedGenerator:
    def test_state(self):
        state = ops.convert_to_numpy(seed_generator(7).state)
        assert state.tolist() == [7, 0]

    def test_none_is_another_each_time(self):
        states = [ops.convert_to_numpy(seed_generator(None).state)] * 2
        states[1] = ops.convert_to_numpy(seed_generator(None).state)
        assert states[0].tolist() != states[1].tolist()

    @pytest.mark.parametrize("seed", [1.5, "3"])
    def test_rejects(self, seed):
        with pytest.raises(ValueError, match=f"`seed`.*seed={seed!r}"):
            seed_generator(seed)


class TestRandomUniforms:
    key = np.array([0, 5])

    @pytest.mark.parametrize("jit_compile", [True, False])
    def test_golden(self, jit_compile):
        run = compiled(
            lambda key: random_uniforms(key, 4), jit_compile=jit_compile
        )
        words = np.array([2633630976, 751388058, 177957624, 2141415843])
        expected = ((words >> 9) + 0.5) / 2**23
        found = ops.convert_to_numpy(run(np.array([1337, 7], "int32")))
        np.testing.assert_array_equal(found, expected.astype("float32"))

    def test_are_uniform(self):
        found = ops.convert_to_numpy(random_uniforms(self.key, 20_000))
        assert found.dtype == "float32"
        assert 0 < found.min() < found.max() < 1
        cells = (found * 50).astype(int)
        # 99.9 % quantile for 49 degrees of freedom.
        assert chi_square(cells, 50) < 85.4
        correlation = np.corrcoef(found[:-1], found[1:])[0, 1]
        assert abs(correlation) < 4 / 20_000**0.5

    def test_are_odd_multiples(self):
        found = ops.convert_to_numpy(random_uniforms(self.key, 1000))
        assert (found.astype("float64") * 2**24 % 2 == 1).all()


class TestRandomNormals:
    def test_are_normal(self):
        found = ops.convert_to_numpy(random_normals(np.array([0, 1]), 20_000))
        # Equally likely cells between the deciles of the normal distribution.
        deciles = [0.2533471, 0.5244005, 0.8416212, 1.2815516]
        edges = [-d for d in deciles[::-1]] + [0.0] + deciles
        # 99.9 % quantile for 9 degrees of freedom.
        assert chi_square(np.searchsorted(edges, found), 10) < 27.9
        moments = [
            (found.astype("float64") ** power).mean() for power in (1, 2, 3, 4)
        ]
        np.testing.assert_allclose(moments, [0, 1, 0, 3], atol=0.15)

    def test_box_muller(self):
        key = np.array([2, 3])
        words = ops.convert_to_numpy(random_bits(key, 6)).astype("int64")
        first, second = np.split(((words >> 9) + 0.5) / 2**23, 2)
        expected = (-2 * np.log(first)) ** 0.5 * np.cos(2 * np.pi * second)
        found = ops.convert_to_numpy(random_normals(key, 3))
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


class TestRandomOrders:
    @pytest.mark.parametrize("key", GOLDEN)
    def test_golden(self, key):
        orders = random_orders(np.array(key), 5)
        assert ops.convert_to_numpy(orders).tolist() == GOLDEN[key]

    @pytest.mark.parametrize("jit_compile", [True, False])
    def test_golden_compiled(self, jit_compile):
        run = compiled(lambda k: random_orders(k, 5), jit_compile=jit_compile)
        for key, golden in GOLDEN.items():
            orders = run(np.array(key, "int32"))
            assert ops.convert_to_numpy(orders).tolist() == golden

    @pytest.mark.parametrize("num_tasks", [1, 2, 3, 40])
    def test_every_row_permutes_the_other_tasks(self, num_tasks):
        for orders in draw(num_tasks, num_draws=5):
            for task, order in enumerate(orders):
                others = [t for t in range(num_tasks) if t != task]
                assert sorted(order.tolist()) == others

    def test_orders_are_uniform(self, orders_of_four):
        # Of three other tasks: the first two positions say it all.
        for task in range(4):
            orders = orders_of_four[:, task]
            _, cells = np.unique(orders, axis=0, return_inverse=True)
            # 99.9 % quantile for 5 degrees of freedom.
            assert chi_square(cells.ravel(), 6) < 20.5

    def test_tasks_are_independent(self, orders_of_four):
        first = orders_of_four[:, :, 0]
        _, left = np.unique(first[:, 0], return_inverse=True)
        _, right = np.unique(first[:, 1], return_inverse=True)
        # 99.9 % quantile for 8 degrees of freedom.
        assert chi_square(3 * left + right, 9) < 26.1

    def test_steps_are_independent(self, orders_of_four):
        first = orders_of_four[:, 2, 0]
        _, now = np.unique(first[:-1], return_inverse=True)
        _, then = np.unique(first[1:], return_inverse=True)
        assert chi_square(3 * now + then, 9) < 26.1

    def test_seeds_give_other_orders(self):
        assert (draw(8, 3, seed=0) != draw(8, 3, seed=1)).any()


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
