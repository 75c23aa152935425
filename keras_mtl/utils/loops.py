"""Loops and branches, as `keras.ops` has them, right on every backend.

Keras' loops on OpenVINO return wrong numbers where one turn needs what another
one has made, and say nothing. Nothing is compiled there before a model serves,
so Python can do them.
"""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_mtl.types import Tensor


def eager_while_loop(
    cond: Callable[..., Tensor],
    body: Callable[..., tuple],
    loop_vars: tuple,
    maximum_iterations: int | None = None,
) -> tuple:
    """`keras.ops.while_loop` for values that are there, in Python."""
    turns = 0
    while _is_true(cond(*loop_vars)) and turns != maximum_iterations:
        loop_vars = _evaluated(body(*loop_vars))
        turns += 1
    return loop_vars


def eager_fori_loop(
    lower: int, upper: int, body_fun: Callable, init_val: Any
) -> Any:
    """`keras.ops.fori_loop` for values that are there, in Python."""
    for index in range(lower, upper):
        init_val = _evaluated(body_fun(ops.convert_to_tensor(index), init_val))
    return init_val


def eager_cond(
    pred: Tensor, true_fn: Callable[[], Any], false_fn: Callable[[], Any]
) -> Any:
    """`keras.ops.cond` for a value that is there, in Python."""
    return true_fn() if _is_true(pred) else false_fn()


def _is_true(value: Any) -> bool:
    return bool(ops.convert_to_numpy(value))


def _evaluated(values: Any) -> Any:
    # OpenVINO adds operation to operation until somebody looks at the result.
    return keras.tree.map_structure(
        lambda value: ops.convert_to_tensor(ops.convert_to_numpy(value)), values
    )


if keras.backend.backend() == "openvino":
    cond = eager_cond
    fori_loop = eager_fori_loop
    while_loop = eager_while_loop
else:
    cond = ops.cond
    fori_loop = ops.fori_loop
    while_loop = ops.while_loop
