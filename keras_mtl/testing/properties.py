"""What can be asked of an aggregator, as assertions.

Each takes an aggregator and a Jacobian `[T, n]` and raises AssertionError with
a text that says what was violated and by how much. Random methods see the same
state in every call of one assertion, and keep it.
"""

import weakref
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops

from keras_mtl.aggregators import get as find_aggregator
from keras_mtl.aggregators.aggregator import Aggregator
from keras_mtl.methods.gradient_spec import GradientSpec
from keras_mtl.methods.step_info import StepInfo
from keras_mtl.testing.compiled import compiled
from keras_mtl.testing.matrices import jacobians

Property = Callable[[Aggregator, np.ndarray], None]


def assert_structure(aggregator: Aggregator, jacobian: np.ndarray) -> None:
    """Shapes are right and finite gradients give finite results."""
    num_tasks, size = np.shape(jacobian)
    _check_structure("update", _combine(aggregator, jacobian), (size,))
    weights = _weights(aggregator, _gram(jacobian))
    if weights is not None:
        _check_structure("weights", weights, (num_tasks,))


def assert_scale_invariant(
    aggregator: Aggregator,
    jacobian: np.ndarray,
    scales: Sequence[float] = (1e-20, 1e-15, 1e-6, 1e6, 1e15, 1e20),
    tolerance: float = 1e-3,
) -> None:
    """Scaling all gradients scales the update by the same factor.

    So loss scaling and the size of a batch change nothing. Jacobians whose
    scaled squares leave the range of float32 are passed over, unless the method
    is `scale_free`.
    """
    expected = _combine(aggregator, jacobian)
    square = np.square(np.linalg.norm(jacobian, axis=1), dtype="float64").max()
    for scale in scales:
        in_range = 1e-33 < square * scale**2 < 1e36
        if square and not (in_range or aggregator.scale_free):
            continue
        scaled = (np.float32(scale) * jacobian).astype("float32")
        actual = _combine(aggregator, scaled) / np.float32(scale)
        _check_close(
            f"an update of gradients scaled by {scale:g}, scaled back",
            actual,
            expected,
            tolerance * _length(jacobian),
        )


def assert_permutation_equivariant(
    aggregator: Aggregator, jacobian: np.ndarray, tolerance: float = 1e-3
) -> None:
    """The order of the tasks does not change the update."""
    expected = _combine(aggregator, jacobian)
    order = np.random.default_rng(0).permutation(len(jacobian))
    for name, rows in (("reversed", np.s_[::-1]), ("shuffled", order)):
        _check_close(
            f"the update with the tasks {name}",
            _combine(aggregator, jacobian[rows]),
            expected,
            tolerance * max(_length(jacobian), np.linalg.norm(expected)),
        )


def assert_non_conflicting(
    aggregator: Aggregator, jacobian: np.ndarray, tolerance: float = 1e-3
) -> None:
    """No task's loss rises: the update has no obtuse angle to any gradient.

    Args:
        tolerance: How far the update may point back along a gradient,
            relative to the longest gradient.
    """
    update = _combine(aggregator, jacobian).astype("float64")
    rows = np.asarray(jacobian, "float64")
    norms = np.linalg.norm(rows, axis=1)
    along = rows @ update / np.where(norms == 0, 1, norms)
    worst = int(np.argmin(along))
    if not along[worst] >= -tolerance * _length(jacobian):
        raise AssertionError(
            f"The update raises the loss of task {worst}: its component along "
            f"that gradient is {along[worst]:g}; the longest gradient has "
            f"length {_length(jacobian):g}."
        )


def assert_stationary(
    aggregator: Aggregator, jacobian: np.ndarray, tolerance: float = 1e-3
) -> None:
    """The update vanishes; ask it where a model is Pareto-stationary.

    Args:
        jacobian: Some combination of its rows with positive weights is zero,
            as of opposed gradients: there is no update that all tasks want.
        tolerance: How long the update may be, relative to the longest
            gradient.
    """
    update = np.linalg.norm(_combine(aggregator, jacobian).astype("float64"))
    if not update <= tolerance * _length(jacobian):
        raise AssertionError(
            f"The update has length {update:g} where no update serves all "
            f"tasks; the longest gradient has length {_length(jacobian):g}."
        )


def assert_batched(
    aggregator: Aggregator, jacobian: np.ndarray, tolerance: float = 1e-3
) -> None:
    """A batch of Gram matrices gives what they give one by one.

    Passes at once for methods without task weights.
    """
    doubled = np.concatenate([jacobian[:, :1], jacobian], axis=1)
    grams = np.stack([_gram(jacobian), _gram(doubled), _gram(0 * jacobian)])
    shaped = grams.reshape(1, 3, *grams.shape[1:])
    batch = _weights(aggregator, shaped)
    if batch is None:
        return
    _check_structure("weights of a batch", batch, shaped.shape[:-1])
    for index, gram in enumerate(grams):
        single = _weights(aggregator, gram)
        # Compared as updates: dependent gradients have many weights.
        factor = np.linalg.cholesky(
            gram.astype("float64")
            + 1e-6 * (np.trace(gram) + 1e-30) * np.eye(len(gram))
        )
        expected = single @ factor
        _check_close(
            f"matrix {index} of a batch",
            batch[0, index] @ factor,
            expected,
            tolerance * max(_length(factor), np.linalg.norm(expected)),
        )


def assert_compiled(
    aggregator: Aggregator, jacobian: np.ndarray, tolerance: float = 1e-4
) -> None:
    """Compiled by the backend, by XLA or not at all, the update is the same."""
    aggregator = _ready(aggregator, (), np.shape(jacobian))
    combine = _call(aggregator, _update_of)
    expected = _same_state(aggregator, combine, jacobian)
    for jit_compile in (True, False):
        run = compiled(combine, aggregator.variables, jit_compile)
        _check_close(
            f"the update compiled with jit_compile={jit_compile}",
            _same_state(aggregator, run, jacobian),
            expected,
            tolerance * _length(jacobian),
        )


UNIVERSAL: tuple[Property, ...] = (
    assert_structure,
    assert_scale_invariant,
    assert_batched,
)


def check_aggregator(
    aggregator: Aggregator | str,
    properties: Sequence[Property] = UNIVERSAL,
    matrices: dict[str, np.ndarray] | None = None,
) -> None:
    """Checks an aggregator on a zoo of gradients.

    What an aggregator cannot be asked is passed over: one that works on the
    gradients themselves, or on more than their Gram matrix (`weights` raises
    NotImplementedError), has its updates checked and no weights.

    Args:
        aggregator: The aggregator, or its name; built, if it needs to be.
        properties: Assertions of this module, or functions like them. By
            default those that an aggregator should satisfy, unless its step
            has a scale of its own: of the library NashMTL, FairGrad and MoCo
            fail `assert_scale_invariant`, and are right to.
        matrices: Jacobians `[T, n]` by name; `jacobians()` by default, of 2, 3
            and 8 tasks. For a method of other numbers of tasks, give
            `jacobians([5])`.

    Raises:
        AssertionError: Naming the property and the Jacobian that violates it.
        ValueError: If `aggregator` is none.
    """
    aggregator = find_aggregator(aggregator)
    if aggregator is None:
        raise ValueError("`aggregator` must be one. Received: aggregator=None")
    matrices = jacobians() if matrices is None else matrices
    for name, jacobian in matrices.items():
        for check in properties:
            try:
                check(aggregator, jacobian)
            except AssertionError as error:
                raise AssertionError(
                    f"{aggregator!r} fails {check.__name__} on {name!r}: "
                    f"{error}"
                ) from error


def _gram(jacobian: np.ndarray) -> np.ndarray:
    rows = np.asarray(jacobian, "float64")
    return (rows @ rows.T).astype("float32")


def _length(jacobian: np.ndarray) -> float:
    """Length of the longest gradient."""
    return float(np.linalg.norm(np.asarray(jacobian, "float64"), axis=1).max())


def _combine(aggregator: Aggregator, jacobian: np.ndarray) -> np.ndarray:
    method = _ready(aggregator, (), np.shape(jacobian))
    return _same_state(method, _fast(method, _update_of), jacobian)


def _weights(aggregator: Aggregator, gram: np.ndarray) -> np.ndarray | None:
    """None where a Gram matrix alone does not make weights."""
    if aggregator.sees != "gram":
        return None
    method = _ready(aggregator, gram.shape[:-2], (gram.shape[-1], 1))
    try:
        return _same_state(method, _fast(method, _weights_of), gram)
    except NotImplementedError:
        # It says so itself. An update that needs `weights` has failed before.
        return None


def _same_state(
    aggregator: Aggregator, function: Callable[..., Any], argument: np.ndarray
) -> np.ndarray:
    """Calls without lasting effect on the state of the aggregator."""
    before = [ops.convert_to_numpy(v) for v in aggregator.variables]
    result = ops.convert_to_numpy(function(ops.convert_to_tensor(argument)))
    for variable, value in zip(aggregator.variables, before, strict=True):
        variable.assign(value)
    return result


# Of methods with memory, one for each shape; loops run op by op are slow, so
# functions are compiled, and each of them only once.
_SIBLINGS: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()
_COMPILED: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()


def _ready(
    aggregator: Aggregator, group_shape: tuple[int, ...], shape: tuple[int, int]
) -> Aggregator:
    """The aggregator, or a new one like it with memory for these shapes."""
    if type(aggregator).create_state is Aggregator.create_state:
        return aggregator
    siblings = _SIBLINGS.setdefault(aggregator, {})
    if (group_shape, shape) not in siblings:
        sibling = type(aggregator).from_config(aggregator.get_config())
        names = aggregator.task_names
        sibling.build(GradientSpec(shape[0], group_shape, (shape[1:],), names))
        siblings[group_shape, shape] = sibling if sibling.remembers else None
    return siblings[group_shape, shape] or aggregator


def _fast(
    aggregator: Aggregator, function: Callable[[Aggregator, Any], Any]
) -> Callable[..., Any]:
    variables = aggregator.variables
    functions = _COMPILED.setdefault(aggregator, {})
    held, run = functions.get(function, (None, None))
    if run is None or [id(v) for v in held] != [id(v) for v in variables]:
        run = compiled(
            _call(aggregator, function), variables, jit_compile=False
        )
        functions[function] = (variables, run)
    return run


def _call(
    aggregator: Aggregator, function: Callable[[Aggregator, Any], Any]
) -> Callable[[Any], Any]:
    """A function of the aggregator as one of its other argument.

    Through a weak reference, or the cache of compiled functions would keep the
    aggregator.
    """
    held = weakref.ref(aggregator)
    return lambda argument: function(held(), argument)


def _update_of(aggregator: Aggregator, jacobian: Any) -> Any:
    """Of losses of one, for methods that look at them."""
    return aggregator(jacobian, losses=ops.ones((jacobian.shape[0],)))


def _weights_of(aggregator: Aggregator, gram: Any) -> Any:
    """Those of one step; of losses of one."""
    if aggregator.transforms:
        # A step would want the inner products of what it makes of gradients.
        return aggregator.weights(gram)
    step = StepInfo(losses=ops.ones((gram.shape[-1],)))
    return aggregator.update(gram, step)


def _check_structure(
    name: str, actual: np.ndarray, shape: tuple[int, ...]
) -> None:
    if actual.shape != shape:
        raise AssertionError(
            f"{name} should have the shape {shape}. Received: {actual.shape}"
        )
    if not np.isfinite(actual).all():
        raise AssertionError(f"{name} should be finite. Received: {actual}")


def _check_close(
    name: str, actual: np.ndarray, expected: np.ndarray, tolerance: float
) -> None:
    gap = np.abs(actual - expected).max(initial=0)
    if not gap <= tolerance:
        raise AssertionError(
            f"{name} differs by {gap:g} (tolerance {tolerance:g}). Expected: "
            f"{expected}. Received: {actual}"
        )
