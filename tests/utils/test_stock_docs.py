import inspect
import pydoc

import keras
import pytest

import keras_mtl
from keras_mtl.utils.stock_docs import like_keras

METHODS = ["fit", "evaluate", "predict", "train_on_batch", "test_on_batch"]


@pytest.mark.parametrize("cls", [keras_mtl.MultiTaskModel, keras.Model])
@pytest.mark.parametrize("name", METHODS)
def test_methods_have_the_signature_of_keras(name, cls):
    ours = getattr(keras_mtl.MultiTaskModel, name)
    stock = inspect.signature(getattr(cls, name))
    assert inspect.signature(ours) == stock


@pytest.mark.parametrize("name", METHODS)
def test_help_says_what_differs_and_what_keras_says(name):
    method = getattr(keras_mtl.MultiTaskModel, name)
    text = inspect.getdoc(method)
    assert f"as `keras.Model.{name}`" in text
    theirs = inspect.getdoc(getattr(keras.Model, name))
    assert theirs and text.endswith(theirs)
    assert (
        text
        in inspect.cleandoc(pydoc.render_doc(method)).replace("\n    ", "\n")
        or "What differs" in text
    )


@pytest.mark.parametrize("name", ["fit", "train_on_batch"])
def test_says_how_class_weights_go_by_task(name):
    text = inspect.getdoc(getattr(keras_mtl.MultiTaskModel, name))
    assert text.index("class_weight: Keyword only") < text.index("says:")
    assert "names of outputs" in text


def test_a_method_stays_itself():
    def fit(self, *args):
        """Mine."""
        return args

    wrapped = like_keras(fit)
    assert wrapped(None, 1) == (1,)
    assert wrapped.__qualname__ == fit.__qualname__
    assert wrapped.__doc__.startswith("Mine.\n\n`keras.Model.fit` says:")


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
