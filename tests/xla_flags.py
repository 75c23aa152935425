"""How XLA compiles in tests, which compile much and compute little."""

from importlib.metadata import PackageNotFoundError
from importlib.metadata import version

# Releases that know the flags: with one that it does not know XLA ends the
# process.
KNOWN_TO = {
    "tensorflow": ("2.21",),
    "jaxlib": ("0.7", "0.8", "0.9", "0.10"),
}


def xla_flags() -> str:
    flags = "--xla_backend_optimization_level=0"
    if all(_knows(package) for package in KNOWN_TO):
        # They halve the time of tests on JAX.
        flags += " --xla_cpu_use_fusion_emitters=false"
        flags += " --xla_cpu_parallel_codegen_split_count=1"
    return flags


def _knows(package: str) -> bool:
    try:
        release = version(package).split(".")[:2]
    except PackageNotFoundError:
        return True
    return ".".join(release) in KNOWN_TO[package]
