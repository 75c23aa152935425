"""The mean of the losses of batches, as on one device."""

import numpy as np
import pytest

from keras_mtl.trainers.whole_batch_mean import WholeBatchMean

pytestmark = pytest.mark.backend


def test_on_one_device_it_is_a_mean():
    """`test_replicas.py` has it on two."""
    mean = WholeBatchMean(name="loss")
    mean.update_state(3.0, sample_weight=2)
    mean.update_state(6.0, sample_weight=np.int32(1))
    np.testing.assert_allclose(mean.result(), 4.0)
    mean.reset_state()
    mean.update_state(5.0)
    np.testing.assert_allclose(mean.result(), 5.0)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
