"""Random orders that are the same on every backend."""

import numpy as np
from keras import ops

from keras_mtl.solvers.gram import Tensor


def _uint32(value: int) -> Tensor:
    return ops.convert_to_tensor(np.uint32(value), dtype="uint32")


def _mix(bits: Tensor) -> Tensor:
    """Bijection of 32-bit words whose output bits look independent.

    Chris Wellons' "lowbias32": xor-shifts and odd multipliers, which wrap
    alike on TensorFlow, JAX and XLA, where their own generators differ.
    """
    bits = ops.bitwise_xor(bits, ops.right_shift(bits, _uint32(16)))
    bits = ops.multiply(bits, _uint32(0x7FEB352D))
    bits = ops.bitwise_xor(bits, ops.right_shift(bits, _uint32(15)))
    bits = ops.multiply(bits, _uint32(0x846CA68B))
    return ops.bitwise_xor(bits, ops.right_shift(bits, _uint32(16)))


def random_bits(key: Tensor, count: int) -> Tensor:
    """Random words from a key.

    Args:
        key: Two integers, a seed and a counter, as `SeedGenerator.next()`
            returns them.
        count: How many words.

    Returns:
        uint32 tensor `[count]`.
    """
    key = ops.cast(key, "uint32")
    bits = ops.convert_to_tensor(np.arange(count, dtype="uint32"))
    # A round for each word of the key: neighbouring seeds, counters and
    # positions must not give related words.
    for word in (key[0], key[1], _uint32(0x9E3779B9)):
        bits = _mix(ops.add(_mix(bits), _mix(ops.add(word, _uint32(1)))))
    return bits


def random_orders(key: Tensor, num_tasks: int) -> Tensor:
    """For each task, the other tasks in random order.

    Args:
        key: Two integers, a seed and a counter.
        num_tasks: Number of tasks T.

    Returns:
        int32 tensor `[T, T - 1]`; row i is a permutation of the tasks but i,
        all permutations equally likely, rows independent of each other.
    """
    size = num_tasks
    bits = ops.reshape(random_bits(key, size * size), (size, size))
    # 31 bits: comparisons of int32 exist wherever Keras runs.
    score = ops.cast(ops.right_shift(bits, _uint32(1)), "int32")
    # The task itself comes last, and is cut off.
    itself = np.eye(size, dtype="bool")
    score = ops.where(itself, np.int32(2**31 - 1), score)
    return ops.argsort(score, axis=-1)[:, :-1]
