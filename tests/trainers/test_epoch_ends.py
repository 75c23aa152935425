"""Tests of what the model does at the end of each epoch."""

from types import SimpleNamespace

import keras
import pytest

from keras_mtl.trainers.epoch_ends import EpochEnds
from keras_mtl.trainers.epoch_ends import with_epoch_ends
from keras_mtl.trainers.tell_of_not_finite import TellOfNotFinite
from keras_mtl.weightings import Weighting

pytestmark = pytest.mark.backend


class Counting(Weighting):
    epochs = 0

    def weights(self, losses):
        return 1 + 0 * losses

    def end_epoch(self):
        self.epochs += 1


def model_with(weighting):
    return SimpleNamespace(weighting=weighting)


@pytest.mark.parametrize("given", [None, [], keras.callbacks.Callback()])
def test_ours_come_first(given):
    weighting = Counting()
    tell, ends, *others = with_epoch_ends(given, model_with(weighting))
    assert isinstance(tell, TellOfNotFinite)
    assert others == keras.tree.flatten(given or [])
    ends.on_epoch_end(0)
    assert weighting.epochs == 1


def test_a_callback_list_stays_the_same_object():
    other = keras.callbacks.Callback()
    given = keras.callbacks.CallbackList([other])
    returned = with_epoch_ends(given, model_with(Counting()))
    assert returned is given
    assert isinstance(given.callbacks[1], EpochEnds)
    assert other in given.callbacks
    # The next `fit` with the same list.
    weighting = Counting()
    with_epoch_ends(given, model_with(weighting))
    given.callbacks[1].on_epoch_end(0)
    assert weighting.epochs == 1
    for ours in (EpochEnds, TellOfNotFinite):
        assert sum(isinstance(c, ours) for c in given.callbacks) == 1


def test_without_a_weighting_nobody_is_told():
    given = [keras.callbacks.Callback()]
    tell, *others = with_epoch_ends(given, model_with(None))
    assert isinstance(tell, TellOfNotFinite)
    assert others == given


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
