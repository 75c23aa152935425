"""Questions in error messages."""

import keras
import pytest

from keras_mtl.utils.did_you_mean import did_you_mean
from keras_mtl.utils.did_you_mean import refuse_unknown_identifier


@pytest.mark.parametrize(
    "name, known, expected",
    [
        ("pcgard", ["mgda", "pcgrad"], "Did you mean 'pcgrad'? "),
        ("DIGITS", ["Digit", "angle"], "Did you mean 'Digit'? "),
        ("x", ["digit", "angle"], ""),
        ("x", [], ""),
        (0, ["digit", 1], ""),
    ],
)
def test_did_you_mean(name, known, expected):
    assert did_you_mean(name, known) == expected


@pytest.mark.parametrize(
    "kind, name, meant",
    [
        ("loss", "mean_squared_eror", "mean_squared_error"),
        ("metric", "acuracy", "accuracy"),
    ],
)
def test_losses_and_metrics_that_keras_does_not_know(kind, name, meant):
    get = getattr(keras, "losses" if kind == "loss" else "metrics").get
    with pytest.raises(ValueError) as raised:
        get(name)
    message = f"Unknown {kind}. Did you mean '{meant}'. Received: '{name}'"
    with pytest.raises(ValueError, match=message.replace(".", r"\W+")):
        refuse_unknown_identifier(raised.value)


def test_of_other_errors_nothing_is_said():
    refuse_unknown_identifier(ValueError("The shapes do not fit."))
    refuse_unknown_identifier(
        ValueError("Could not interpret metric identifier: xyzzyx")
    )


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
