"""Random orders and numbers that are the same on every backend."""

import keras
import numpy as np
from keras import ops

from keras_mtl.types import Tensor
from keras_mtl.utils.argument_validation import is_integer


def seed_generator(seed: int | None) -> keras.random.SeedGenerator:
    """The state of a random method, from its argument `seed`.

    Raises:
        ValueError: If the seed is neither an integer nor None.
    """
    if seed is not None and not is_integer(seed):
        raise ValueError(
            f"`seed` must be an integer or None. Received: seed={seed!r}"
        )
    return keras.random.SeedGenerator(seed)


def _uint32(value: int) -> Tensor:
    return ops.convert_to_tensor(np.uint32(value), dtype="uint32")


def _wrapped(bits: Tensor) -> Tensor:
    """The 32 bits of words, after arithmetic that Keras does in more.

    PyTorch has few operations on uint32: Keras has int64 in its place there.
    """
    if keras.backend.backend() != "torch":
        return bits
    return ops.bitwise_and(bits, _uint32(0xFFFFFFFF))


def _mix(bits: Tensor) -> Tensor:
    """Bijection of 32-bit words whose output bits look independent.

    Chris Wellons' "lowbias32": xor-shifts and odd multipliers, which wrap
    alike on TensorFlow, JAX and XLA, where their own generators differ.
    """
    bits = ops.bitwise_xor(bits, ops.right_shift(bits, _uint32(16)))
    bits = _wrapped(ops.multiply(bits, _uint32(0x7FEB352D)))
    bits = ops.bitwise_xor(bits, ops.right_shift(bits, _uint32(15)))
    bits = _wrapped(ops.multiply(bits, _uint32(0x846CA68B)))
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
    # Made on the device: `count` may be the size of a layer.
    bits = ops.cast(ops.arange(count, dtype="int32"), "uint32")
    # A round for each word of the key: neighbouring seeds, counters and
    # positions must not give related words.
    for word in (key[0], key[1], _uint32(0x9E3779B9)):
        mixed = _mix(_wrapped(ops.add(word, _uint32(1))))
        bits = _mix(_wrapped(ops.add(_mix(bits), mixed)))
    return bits


def random_uniforms(key: Tensor, count: int) -> Tensor:
    """Random numbers from a key, uniform between 0 and 1.

    Args:
        key: Two integers, a seed and a counter.
        count: How many numbers.

    Returns:
        float32 tensor `[count]` of odd multiples of 2^-24: never 0, 1 or 1/2.
    """
    # 23 bits and a half fill the 24 of a float32, so nothing is rounded.
    bits = ops.right_shift(random_bits(key, count), _uint32(9))
    steps = ops.cast(ops.cast(bits, "int32"), "float32")
    return (steps + 0.5) * 2.0**-23


def random_normals(key: Tensor, count: int) -> Tensor:
    """Random numbers from a key, normal with mean 0 and variance 1.

    Made of uniform ones by the transform of Box and Muller; none is further
    from 0 than 5.8. Backends round their logarithms and cosines differently.

    Args:
        key: Two integers, a seed and a counter.
        count: How many numbers.

    Returns:
        float32 tensor `[count]`.
    """
    uniforms = random_uniforms(key, 2 * count)
    radius = ops.sqrt(-2.0 * ops.log(uniforms[:count]))
    return radius * ops.cos(2.0 * np.pi * uniforms[count:])


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
