"""Finding methods by name."""

import ast
import importlib
import inspect
from pathlib import Path

import keras
import pytest

from keras_mtl import aggregators
from keras_mtl import weightings
from keras_mtl.aggregators import MGDA
from keras_mtl.aggregators import Aggregator
from keras_mtl.aggregators import Projection
from keras_mtl.methods.registry import Registry

pytestmark = pytest.mark.backend

REGISTRY = Registry("aggregator", Aggregator, [MGDA, Projection])


@pytest.mark.parametrize("name", ["mgda", "MGDA", "Mgda", "mg-da"])
def test_names_in_any_case(name):
    assert isinstance(REGISTRY.get(name), MGDA)


def test_what_is_one_already_comes_back():
    method = MGDA()
    assert REGISTRY.get(method) is method
    assert REGISTRY.get(None) is None


def test_configurations():
    method = Projection("left", smoothing=0.5, granularity="layer")
    copy = REGISTRY.get(REGISTRY.serialize(method))
    assert isinstance(copy, Projection)
    assert copy.get_config() == method.get_config()


def test_a_forgotten_argument_is_not_lost_in_silence():
    class Scaled(Aggregator):
        def __init__(self, factor=1.0, **kwargs):
            super().__init__(**kwargs)
            self.factor = factor

        def weights(self, gram):
            return gram[..., 0]

    with pytest.raises(NotImplementedError, match=r"arguments \['factor'\]"):
        REGISTRY.serialize(Scaled(3.0))


@pytest.mark.parametrize(
    "identifier, message",
    [
        ("sum", r"Unknown aggregator. Known names: \['mgda', 'projection'\]"),
        ("progection", r"Unknown aggregator. Did you mean 'projection'\?"),
        ("Mgad", r"Unknown aggregator. Did you mean 'mgda'\?"),
        ("projection", r"aggregators.Projection\(main_task=...\)"),
        (MGDA, r"Write `MGDA\(...\)`"),
        (3, "Received: aggregator=3"),
        ({}, "`aggregator` must be an Aggregator, .*Received: aggregator={}"),
        ({"a": 1}, "`aggregator` must be an Aggregator"),
        ([], r"Received: aggregator=\[\]"),
    ],
)
def test_mistakes(identifier, message):
    with pytest.raises(ValueError, match=message):
        REGISTRY.get(identifier)


def test_weights_belong_elsewhere():
    for given in ({"a": 1.0}, [1.0, 2.0]):
        for get in (aggregators.get, weightings.get):
            with pytest.raises(ValueError, match="as `loss_weights`"):
                get(given)


def test_mgda_ub_is_mgda_at_a_representation():
    for name in ("mgda_ub", "MGDA_UB"):
        with pytest.raises(ValueError, match="'mgda'` with `representation="):
            aggregators.get(name)


def test_a_constructor_that_forgets_its_base():
    class Forgetful(Aggregator):
        def __init__(self):
            pass

        def weights(self, gram):
            return gram[..., 0]

    with pytest.raises(ValueError, match=r"must call `super\(\).__init__"):
        REGISTRY.get(Forgetful())


def modules_naming(package, name):
    """Modules of keras_mtl whose code, not its words, names a class."""
    root = Path(package.__file__).parents[1]
    found = set()
    for path in root.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        if name in text and any(
            getattr(node, "id", getattr(node, "name", None)) == name
            for node in ast.walk(ast.parse(text))
        ):
            found.add(path.relative_to(root).as_posix())
    return found


@pytest.mark.parametrize(
    "package, name, module",
    [
        (aggregators, "FairGrad", "aggregators/fair_grad.py"),
        (aggregators, "CRMOGM", "aggregators/cr_mogm.py"),
        (weightings, "STCH", "weightings/stch.py"),
    ],
)
def test_a_method_is_named_where_it_is_and_once_more(package, name, module):
    """Its import in the package makes its name, as CONTRIBUTING.md says."""
    kind = Path(module).parent.name
    assert modules_naming(package, name) == {module, f"{kind}/__init__.py"}
    assert name in package.__all__
    assert type(package.get(name)).__name__ == name


@pytest.mark.parametrize("package", [aggregators, weightings])
def test_every_registered_class_is_imported_by_its_package(package):
    registered = set()
    for path in Path(package.__file__).parent.glob("*.py"):
        module = f"{package.__name__}.{path.stem}"
        for cls in vars(importlib.import_module(module)).values():
            is_own = getattr(cls, "__module__", None) == module
            if is_own and inspect.isclass(cls):
                if keras.saving.get_registered_name(cls) != cls.__name__:
                    registered.add(cls.__name__)
    assert registered and registered <= set(package.__all__)


def test_a_configuration_of_something_else():
    config = keras.saving.serialize_keras_object(keras.layers.Dense(2))
    with pytest.raises(ValueError, match="must describe an Aggregator"):
        REGISTRY.get(config)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
