"""Macros that the BUILD files share."""

load("@rules_python//python:defs.bzl", "py_test")

def pytest_files(srcs, deps = [], data = [], timeout = "long", **kwargs):
    """Makes a py_test of each file of pytest tests.

    Args:
      srcs: files that run pytest on themselves when they are run.
      deps: what they need beside keras_mtl and the shared fixtures.
      data: files that they read.
      timeout: how long each may take; compiling training steps is slow on a
        machine with few cores.
      **kwargs: further attributes of py_test.
    """
    for src in srcs:
        py_test(
            name = src[:-len(".py")],
            srcs = [src],
            # The directory of pyproject.toml is pytest's root.
            data = ["//:pyproject.toml"] + data,
            deps = ["//keras_mtl", "//tests:conftest"] + deps,
            # Bazel would put an __init__.py into every directory, and the
            # workspace would look like a package to pytest.
            legacy_create_init = 0,
            timeout = timeout,
            **kwargs
        )
