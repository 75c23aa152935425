"""What a user installs, and what keeps the checkout in one piece."""

import re
import subprocess
import sys
from importlib.metadata import Distribution
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version
from pathlib import Path

import pytest

import keras_mtl

# Not resolved: under Bazel this is the directory of its links.
ROOT = Path(__file__).absolute().parent.parent
PACKAGE = ROOT / "keras_mtl"
TESTS = ROOT / "tests"

# Bazel shows a test only the files that its BUILD names.
needs_checkout = pytest.mark.skipif(
    not (ROOT / "setup.py").exists(),
    reason="reads the whole checkout",
)

# Keras itself imports matplotlib where there is one, so that import is undone
# before ours is watched.
IMPORT_PROBE = """
import sys, keras, tensorflow
optional = {{
    "filelock",
    "matplotlib",
    "moocore",
    "optuna",
    "scipy",
    "sklearn",
    "tensorboard",
    "tensorflow_datasets",
}}
imported = lambda: {{m for m in sys.modules if m.split(".")[0] in optional}}
for module in imported():
    del sys.modules[module]
import {packages}
print(sorted(imported()))
"""


def run_setup(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "setup.py", "--quiet", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def python_files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


def relative(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("built")
    run_setup("build_py", "--build-lib", str(folder))
    return folder


@pytest.fixture(scope="module")
def distribution(tmp_path_factory) -> Distribution:
    folder = tmp_path_factory.mktemp("metadata")
    run_setup("egg_info", "--egg-base", str(folder))
    return Distribution.at(folder / "keras_mtl.egg-info")


@pytest.fixture(scope="module")
def sources(distribution) -> set[str]:
    """Names of the files of a source distribution."""
    return set(distribution.read_text("SOURCES.txt").splitlines())


class TestImport:
    @pytest.mark.slow
    def test_leaves_optional_and_slow_packages_alone(self):
        packages = ["keras_mtl"] + [
            f"keras_mtl.{init.parent.name}"
            for init in sorted(PACKAGE.glob("*/__init__.py"))
        ]
        program = IMPORT_PROBE.format(packages=", ".join(packages))
        done = subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip() == "[]"

    def test_public_names_exist(self):
        for name in keras_mtl.__all__:
            assert hasattr(keras_mtl, name), name


class TestVersion:
    def test_is_a_release_number(self):
        assert re.fullmatch(r"\d+\.\d+\.\d+", keras_mtl.__version__)

    @needs_checkout
    def test_is_what_setup_says(self):
        assert run_setup("--version") == keras_mtl.__version__

    def test_is_what_is_installed(self):
        try:
            installed = version("keras_mtl")
        except PackageNotFoundError:
            pytest.skip("keras_mtl runs from a checkout")
        assert installed == keras_mtl.__version__

    @needs_checkout
    def test_is_assigned_in_one_place(self):
        assigning = [
            path
            for path in [ROOT / "setup.py", *python_files(PACKAGE)]
            if re.search(
                r"^(__version__|version) = ", path.read_text(), re.MULTILINE
            )
        ]
        assert relative(assigning) == ["keras_mtl/version.py"]

    @needs_checkout
    def test_is_in_the_changelog(self):
        heading = f"\n## [{keras_mtl.__version__}]"
        assert heading in (ROOT / "CHANGELOG.md").read_text()


@needs_checkout
class TestDistribution:
    def test_ships_the_marker_of_type_hints(self, built):
        assert (built / "keras_mtl" / "py.typed").is_file()

    def test_ships_every_module(self, built):
        shipped = {str(path.relative_to(built)) for path in python_files(built)}
        assert shipped == set(relative(python_files(PACKAGE)))

    def test_ships_sources_with_all_tests(self, sources):
        folders = ("keras_mtl", "tests", "examples", "benchmarks", "docs")
        there = {
            str(path.relative_to(ROOT))
            for folder in folders
            for path in (ROOT / folder).rglob("*")
            if path.is_file() and path.suffix != ".pyc"
        }
        assert there - sources == set()
        assert {name for name in sources if "__pycache__" in name} == set()

    @pytest.mark.parametrize(
        "name",
        ["CHANGELOG.md", "LICENSE", "README.md", "pyproject.toml", "BUILD"],
    )
    def test_ships_sources_with_what_tests_read(self, sources, name):
        assert name in sources

    def test_its_description_leads_nowhere_but_to_the_net(self, distribution):
        """Where it is shown, neighbours of the README are not."""
        text = distribution.metadata.get_payload()
        assert text.startswith("# keras_mtl\n")
        targets = re.findall(r"\]\(([^)]*)\)", text)
        assert len(targets) > 10
        assert not [t for t in targets if not t.startswith("https://")]
        assert "![" not in text
        assert "docs/methods.md" in text

    def test_names_its_licence(self, distribution):
        # Which of the two it is depends on the version of setuptools.
        fields = distribution.metadata
        named = fields.get("License-Expression") or fields.get("License")
        assert named == "Apache-2.0"
        assert "END OF TERMS AND CONDITIONS" in (ROOT / "LICENSE").read_text()

    def test_core_requirements(self, distribution):
        assert {project(entry) for entry in needed(distribution)} == {
            "tensorflow",
            "keras",
            "numpy",
            "h5py",
            "absl-py",
            "tensorflow-datasets",
            "importlib_resources",
        }

    def test_keras_stays_within_what_the_step_knows(self, distribution):
        entries = {project(entry): entry for entry in needed(distribution)}
        assert ">=3.15" in entries["keras"]
        assert "<4" in entries["keras"]

    def test_every_requirement_has_a_lower_bound(self, distribution):
        entries = distribution.requires
        assert not [e for e in entries if ">=" not in e and "~=" not in e]

    @pytest.mark.parametrize(
        ("extra", "brings"),
        [
            ("test", {"pytest", "scipy", "matplotlib", "tensorboard", "ruff"}),
            ("test", {"scikit-learn", "hypothesis"}),
            ("test", {"filelock"}),
            ("examples", {"matplotlib", "scikit-learn", "filelock"}),
            ("selection", {"scikit-learn", "filelock"}),
            ("pareto", {"moocore", "scipy", "matplotlib"}),
            ("comparison", {"optuna", "filelock", "scipy", "matplotlib"}),
            ("tensorboard", {"tensorboard"}),
            ("benchmarks", {"torch", "torchjd"}),
            ("jax", {"jax"}),
        ],
    )
    def test_extras(self, distribution, extra, brings):
        entries = needed(distribution, extra)
        assert brings <= {project(entry) for entry in entries}


def needed(distribution: Distribution, extra: str | None = None) -> list[str]:
    """What the core needs, or what an extra adds to it."""
    return [
        entry
        for entry in distribution.requires
        if (extra is None and ";" not in entry)
        or (extra is not None and re.search(rf"extra == .{extra}.", entry))
    ]


def project(requirement: str) -> str:
    return re.match(r"[\w-]+", requirement).group()


@needs_checkout
class TestLayout:
    def test_every_module_has_its_tests(self):
        missing = [
            str(module)
            for module in map(Path, relative(python_files(PACKAGE)))
            if not module.name.startswith("_")
            # This file tests it.
            and module.name != "version.py"
            and not mirror(module).exists()
        ]
        assert not missing, f"no test file for {missing}"

    def test_every_test_runs_by_itself(self):
        """Bazel runs a test file as a program."""
        silent = [
            path
            for path in TESTS.rglob("test_*.py")
            if "raise SystemExit(pytest.main([__file__]))"
            not in path.read_text()
        ]
        assert not relative(silent)

    def test_every_test_is_built(self):
        unbuilt = [
            path
            for path in TESTS.rglob("test_*.py")
            if not builds(path, 'glob(["test_*.py"])')
        ]
        assert not relative(unbuilt)

    @pytest.mark.parametrize("folder", ["keras_mtl", "examples", "benchmarks"])
    def test_every_module_is_built(self, folder):
        modules = python_files(ROOT / folder)
        assert modules
        unbuilt = [path for path in modules if not builds(path, '["*.py"]')]
        assert not relative(unbuilt)

    def test_build_files_load_their_rules(self):
        """Bazel itself no longer knows rules for Python."""
        for build in ROOT.rglob("BUILD"):
            text = build.read_text()
            for rule in re.findall(r"^(py_\w+|pytest_files)\(", text, re.M):
                assert re.search(rf'^load\(.*"{rule}"', text, re.M), build


def mirror(module: Path) -> Path:
    inside = module.relative_to("keras_mtl")
    return TESTS / inside.parent / f"test_{inside.name}"


def builds(path: Path, glob: str) -> bool:
    """Whether the BUILD file beside `path` names it, or takes all files."""
    build = path.parent / "BUILD"
    if not build.exists():
        return False
    text = build.read_text()
    return glob in text or f'"{path.name}"' in text


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
