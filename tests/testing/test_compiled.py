"""Tests of running functions compiled."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_mtl.testing import compiled

pytestmark = pytest.mark.backend


class TestCompiled:
    @pytest.mark.parametrize("jit_compile", [True, False])
    def test_result(self, jit_compile):
        run = compiled(lambda x, y: x * y + 1, jit_compile=jit_compile)
        result = run(np.float32([1, 2]), np.float32([3, 4]))
        assert ops.convert_to_numpy(result).tolist() == [4, 9]

    @pytest.mark.parametrize("jit_compile", [True, False])
    def test_variables_are_updated_in_every_call(self, jit_compile):
        total = keras.Variable(0.0)

        def add(x):
            total.assign(total + x)
            return total * 2.0

        run = compiled(add, [total], jit_compile)
        results = [float(run(np.float32(x))) for x in (1, 2, 3)]
        assert results == [2, 6, 12]
        assert float(ops.convert_to_numpy(total)) == 6

    @pytest.mark.parametrize("jit_compile", [True, False])
    def test_a_branch_on_a_value_fails_as_it_does_in_fit(self, jit_compile):
        def branch(x):
            return x if x > 0 else -x

        run = compiled(branch, jit_compile=jit_compile)
        with pytest.raises(Exception, match="bool|concrete"):
            run(np.float32(-1))

    def test_is_traced_once_for_a_shape(self):
        traces = []

        def count(x):
            traces.append(1)
            return x + 1

        run = compiled(count)
        for _ in range(3):
            run(ops.ones((2,)))
        assert len(traces) == 1


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
