"""What a user gives as a dict by the names of outputs, or of tasks."""

import contextlib
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from typing import Any

import keras

from keras_mtl.utils.did_you_mean import did_you_mean

# What has names.
OUTPUTS = "outputs of the model"
TASKS = "tasks of the model"
WITH_LABELS = "outputs with an array of labels"


def check_entries(
    argument: str,
    given: Iterable[str],
    known: Iterable[str] | None,
    kind: str = OUTPUTS,
) -> None:
    """Raises if something has an entry for what is not there.

    Args:
        argument: Name of the argument, for the message.
        given: The dict, or its names.
        known: The names that there are.
        kind: What has these names, in the plural.
    """
    known = list(dict.fromkeys(known or ()))
    unknown = [name for name in given if name not in known]
    if not unknown:
        return
    hints = [did_you_mean(name, known) for name in unknown]
    there_are = f"The {kind} are {known}."
    if kind == OUTPUTS and not known:
        there_are = "These have no names: return a dict from `call`."
    raise ValueError(
        f"`{argument}` has entries {unknown} that are no {kind}. "
        f"{next(filter(None, hints), '')}{there_are} Received: {argument} "
        f"with entries {list(given)}"
    )


class UnknownEntries(ValueError, KeyError, TypeError):
    """What Keras raises, which is one of these, and ours in one."""

    # That of `KeyError` puts the message in quotation marks.
    __str__ = Exception.__str__


@contextlib.contextmanager
def naming_entries(check: Callable[[], None]) -> Iterator[None]:
    """Says of an error of Keras which entries are to blame, if any are.

    What Keras says stays in the message: some look for it there.

    Args:
        check: Raises a `ValueError` that names the entries.
    """
    try:
        yield
    except (KeyError, TypeError, ValueError) as error:
        try:
            check()
        except ValueError as explained:
            message = f"{explained}. Keras says: {error}"
            raise UnknownEntries(message) from error
        raise


def check_nested_entries(
    argument: str,
    given: dict[str, Any],
    outputs: Any,
    known: Iterable[str] | None = None,
) -> None:
    """Raises if a dict, or one in it, names what is no output.

    Args:
        argument: Name of the argument, for the message.
        given: The dict. Entries of `None` may name anything.
        outputs: The outputs, by name where `given` can go deeper.
        known: The names that the dict can have, by default those of `outputs`.
    """
    given = {name: value for name, value in given.items() if value is not None}
    check_entries(argument, given, outputs if known is None else known)
    for name, value in given.items():
        part = outputs.get(name) if isinstance(outputs, dict) else None
        if isinstance(value, dict) and isinstance(part, dict):
            check_nested_entries(f"{argument}[{name!r}]", value, part)


def spread_by_output(
    argument: str,
    given: Any,
    y_pred: Any,
    output_names: list[str] | None,
    kind: str = OUTPUTS,
) -> Any:
    """Puts the values of a dict in the structure of the predictions.

    Keras finds labels of listed outputs by name, but not sample weights, and
    wants them for all outputs or for none.

    Args:
        argument: Name of the argument, for error messages.
        given: A dict from output names, or what has its structure already.
        y_pred: The predictions.
        output_names: Names of listed outputs.
        kind: What has the names of `y_pred`, for error messages.

    Returns:
        The values, with `None` for outputs that are not named.
    """
    if not isinstance(given, dict):
        return given
    if isinstance(y_pred, dict):
        check_entries(argument, given, y_pred, kind)
        return {
            name: spread_by_output(argument, given[name], part, None, kind)
            if given.get(name) is not None
            else keras.tree.map_structure(lambda _: None, part)
            for name, part in y_pred.items()
        }
    if isinstance(y_pred, (list, tuple)):
        check_entries(argument, given, output_names)
        return [given.get(name) for name in output_names]
    check_entries(argument, given, output_names)
    is_one = len(output_names or ()) == 1
    return given.get(output_names[0]) if is_one else given


def listed_by_output(
    argument: str, given: Any, beside: Any, output_names: list[str] | None
) -> Any:
    """A dict as a list where what it belongs to is a list of the outputs.

    Keras would take the values in the order of their names, whatever these
    are.

    Args:
        argument: Name of the argument, for error messages.
        given: A dict from output names, or anything else, which is returned.
        beside: What the values belong to: as a list, one entry an output.
        output_names: Names of the outputs, `None` if the model knows none.
    """
    is_list = isinstance(beside, (list, tuple))
    if not isinstance(given, dict) or not is_list or not output_names:
        return given
    if len(beside) != len(output_names):
        # Several losses on one output.
        return given
    check_entries(argument, given, output_names)
    without = [name for name in output_names if name not in given]
    if without:
        raise ValueError(
            f"`{argument}` must have an entry for each of the outputs "
            f"{list(output_names)}. Received: {argument} without {without}"
        )
    return [given[name] for name in output_names]


def names_in(outputs: Any) -> list[str]:
    """Names of outputs by their keys: of groups, and of those in groups.

    Args:
        outputs: The outputs; in a dict of dicts `{"a": {"b": ...}}`, the names
            are "a" and "a/b".
    """
    names = []
    for path, _ in keras.tree.flatten_with_path(outputs):
        keys = [key for key in path if isinstance(key, str)]
        names += ["/".join(keys[: i + 1]) for i in range(len(keys))]
    return names


def labels_by_output(y: Any, output_names: list[str] | None) -> dict[str, Any]:
    """Labels by the name of their output, as far as that is known.

    Args:
        y: Labels as `fit` takes them.
        output_names: Names of the outputs, `None` if the model knows none.
    """
    if isinstance(y, dict):
        paths = keras.tree.flatten_with_path(y)
        return {"/".join(map(str, path)): value for path, value in paths}
    values = list(y) if isinstance(y, (list, tuple)) else [y]
    if len(values) != len(output_names or ()):
        return {}
    return dict(zip(output_names, values, strict=True))
