"""Runs the examples as programs, one after the other in one process."""

import importlib
import sys
from collections.abc import Callable
from collections.abc import Iterator

import pytest
from absl import flags


@pytest.fixture
def run_example() -> Iterator[Callable[..., None]]:
    """Runs `examples.<name>` with the given command line arguments."""
    imported = set()

    def run(name: str, *arguments: str) -> None:
        module = f"examples.{name}.main"
        imported.add(module)
        program = importlib.import_module(module)
        program.main(flags.FLAGS([name, *arguments]))

    yield run
    for module in imported:
        # The next example defines flags of the same names.
        for flag in list(flags.FLAGS.flags_by_module_dict()[module]):
            delattr(flags.FLAGS, flag.name)
        del sys.modules[module]
        flags.FLAGS.unparse_flags()
