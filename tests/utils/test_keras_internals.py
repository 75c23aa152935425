"""What the private names of Keras must still be, one by one.

`test_contract.py` tests that they work; this tells which one is gone.
"""

import ast
import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import keras
import pytest

import keras_mtl
from keras_mtl.utils import keras_internals

pytestmark = pytest.mark.backend


def test_functional_is_the_class_of_functional_models():
    inputs = keras.Input((1,))
    model = keras.Model(inputs, keras.layers.Dense(1)(inputs))
    assert type(model) is keras_internals.Functional
    assert hasattr(model, "_outputs_struct")


def test_flat_losses_have_the_fields_that_task_losses_replace():
    assert keras_internals.OpenLosses.Loss._fields == (
        "path",
        "loss",
        "loss_weights",
        "name",
    )


@pytest.mark.parametrize(
    "name",
    [
        "_aggregate_additional_loss",
        "_compute_loss",
        "_flatten_layers",
        "_get_metrics_result_or_logs",
        "_symbolic_build",
    ],
)
def test_methods_of_a_model(name):
    assert inspect.isfunction(getattr(keras.Model, name))


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def made_in(tree: ast.AST) -> set[str]:
    """Private names that a file gives to something of its own."""
    made = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            made.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            made.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(
            node.ctx, ast.Store
        ):
            if ast.unparse(node.value) == "self":
                made.add(node.attr)
    return made


def used_in(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Private names that a file asks for, and of what."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield node.attr, ast.unparse(node.value)
        elif isinstance(node, ast.Call) and len(node.args) > 1:
            name = node.args[1]
            if ast.unparse(node.func) in ("getattr", "hasattr", "setattr"):
                if isinstance(name, ast.Constant):
                    yield str(name.value), ast.unparse(node.args[0])


def is_of_keras(cls: type, name: str) -> bool:
    return any(
        base.__module__.startswith("keras.") and name in vars(base)
        for base in cls.__mro__
    )


def opened() -> set[str]:
    """Private names that the open classes have for what Keras calls else."""
    return {
        name
        for cls in vars(keras_internals).values()
        if inspect.isclass(cls) and cls.__module__ == keras_internals.__name__
        for name in vars(cls)
        if not is_of_keras(cls, name)
    }


# Of named tuples: they are public, and cannot be called otherwise.
OF_NAMED_TUPLES = {"_fields", "_replace"}
# What Matplotlib has for notebooks.
OF_OTHERS = {"_repr_png_"}
# Of a model of ours, which `trainers/settings.py` asks for them.
OF_OURS = {"_settings"}


def test_no_other_file_uses_private_names_of_something_else():
    root = Path(keras_mtl.__file__).parent
    trees = {
        path: ast.parse(path.read_text())
        for path in root.rglob("*.py")
        if path != Path(keras_internals.__file__)
    }
    anywhere = opened().union(*map(made_in, trees.values()))
    strange = []
    for path, tree in trees.items():
        # Of an object of its own a class may have names from other files.
        here = made_in(tree) | OF_NAMED_TUPLES | OF_OTHERS | OF_OURS
        strange += [
            f"{path.relative_to(root)}: {owner}.{name}"
            for name, owner in used_in(tree)
            if is_private(name)
            and name not in here
            and (owner not in ("self", "super()") or name not in anywhere)
        ]
    assert not strange


def classes() -> list[type]:
    found = set()
    for module in pkgutil.walk_packages(keras_mtl.__path__, "keras_mtl."):
        # One a backend, which imports that backend.
        if not module.name.startswith("keras_mtl.backend."):
            for value in vars(importlib.import_module(module.name)).values():
                if inspect.isclass(value):
                    found.add(value)
    return [c for c in found if c.__module__.startswith("keras_mtl.")]


def test_no_other_file_overrides_private_names_of_keras():
    strange = [
        f"{cls.__module__}: {cls.__name__}.{name}"
        for cls in classes()
        if cls.__module__ != keras_internals.__name__
        for name, value in vars(cls).items()
        if is_private(name) and inspect.isfunction(value)
        if is_of_keras(cls, name)
    ]
    assert not strange


def test_a_forward_pass_is_not_symbolic():
    assert not keras_internals.in_symbolic_scope()


def test_nothing_is_scaled_on_one_replica():
    assert keras_internals.unscale_loss_for_distribution(2.0) == 2.0


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
