"""Docstrings of methods that do what Keras' do, and something more."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

import keras


def like_keras(method: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a method the signature of that of `keras.Model`, and its text.

    The method's own docstring says what differs and comes first. Keras' text
    is that of the base class of its trainers: the method of `keras.Model`
    itself has none.

    Args:
        method: Of a subclass, with the name of one of `keras.Model`.
    """
    stock = getattr(keras.Model, method.__name__)
    # For `inspect.signature` and `help`; its names and text stay its own.
    method = functools.wraps(stock, assigned=(), updated=())(method)
    own, theirs = inspect.getdoc(method), inspect.getdoc(stock)
    if theirs:
        own = f"{own}\n\n`keras.Model.{method.__name__}` says:\n\n{theirs}"
    method.__doc__ = own
    return method
