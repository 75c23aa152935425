"""Tests of the zoo of gradients."""

import numpy as np
import pytest

from keras_mtl.testing import jacobians

pytestmark = pytest.mark.backend


def gram_of(rows):
    rows = rows.astype("float64")
    return rows @ rows.T


class TestJacobians:
    def test_shapes_names_and_types(self):
        zoo = jacobians(num_tasks=[2, 5])
        assert {len(rows) for rows in zoo.values()} == {2, 5}
        for name, rows in zoo.items():
            assert name.endswith(f"_{len(rows)}")
            assert rows.dtype == "float32"
            assert np.isfinite(rows).all()

    def test_seed_decides(self):
        left, right, other = jacobians(), jacobians(), jacobians(seed=1)
        for name in left:
            np.testing.assert_array_equal(left[name], right[name])
        assert (left["normal_3"] != other["normal_3"]).all()

    def test_grams_fit_in_float32(self):
        for rows in jacobians().values():
            gram = gram_of(rows)
            squares = np.diag(gram)[np.diag(gram) > 0]
            assert np.isfinite(gram.astype("float32")).all()
            assert (squares > np.finfo("float32").tiny).all()

    @pytest.mark.parametrize("size", [2, 3, 8])
    def test_kinds_are_what_they_say(self, size):
        zoo = {
            name.removesuffix(f"_{size}"): rows
            for name, rows in jacobians([size]).items()
        }
        assert (gram_of(zoo["agreeing"]) > 0).all()
        off = gram_of(zoo["conflicting"])[~np.eye(size, dtype=bool)]
        assert (off < 0).all()
        assert not zoo["all_zero"].any()
        assert not zoo["one_zero"][0].any()
        np.testing.assert_array_equal(zoo["duplicate"][0], zoo["duplicate"][-1])
        np.testing.assert_array_equal(zoo["opposed"][0], -zoo["opposed"][-1])
        rank = np.linalg.matrix_rank(zoo["rank_deficient"], tol=1e-4)
        assert rank == max(1, size // 2)
        assert np.linalg.matrix_rank(zoo["dominated"], tol=1e-4) == 1
        norms = np.linalg.norm(zoo["uneven"], axis=1)
        assert norms[-1] / norms[0] > 1e3
        for kind, scale in (("tiny", 1e-15), ("huge", 1e15)):
            norms = np.linalg.norm(zoo[kind], axis=1) / scale
            assert (0.01 < norms).all() and (norms < 100).all()


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
