"""The library needs JAX, NumPy and optax alone; a command without its extra says what to install."""

import importlib.metadata
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NEEDED = {"jax", "numpy", "optax"}
NEEDED_BY_THOSE = {"absl", "jaxlib", "ml_dtypes", "opt_einsum", "scipy"}
LIBRARY = (
    "lpjax",
    "lpjax.metrics",
    "lpjax.pools",
    "lpjax.sparsity",
    "lpjax.tickets",
    "lpjax.train",
    "lpjax.transforms",
)
COMMANDS = (
    "lpjax.main",
    pytest.param("lpjax.data.prepare", marks=pytest.mark.slow),
    pytest.param("lpjax.interop.torch", marks=pytest.mark.slow),
    pytest.param("lpjax.report", marks=pytest.mark.slow),
)


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """An environment in which every other package is missing: one that raises as a missing one does comes first."""
    stubs = tmp_path_factory.mktemp("stubs")
    for name in importlib.metadata.packages_distributions():
        present = name in NEEDED | NEEDED_BY_THOSE | {"lpjax"} or name.startswith("_")
        if name.isidentifier() and not present:
            message = f"No module named {name!r}"
            (stubs / f"{name}.py").write_text(f"raise ModuleNotFoundError({message!r}, name={name!r})\n")
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(stubs), str(ROOT)])}


def python(environment, *arguments):
    return subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False)


def test_three_packages_are_required_and_no_version_is_too_new():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    required = project["dependencies"]
    assert {re.split(r"[<>=!~]", line)[0] for line in required} == NEEDED
    extras = [line for lines in project["optional-dependencies"].values() for line in lines]
    assert not [line for line in [*required, *extras] if re.search("<|==|~=", line)]


@pytest.mark.slow
@pytest.mark.parametrize("module", ["flax", "orbax.checkpoint", "PIL"])
def test_packages_of_extras_are_missing_in_the_bare_environment(bare, module):
    assert f"No module named {module.partition('.')[0]!r}" in python(bare, "-c", f"import {module}").stderr


def test_the_library_is_imported_without_extras(bare):
    done = python(bare, "-c", "\n".join(f"import {module}" for module in LIBRARY))
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_submodule_without_its_extra_says_what_to_install(bare):
    done = python(bare, "-c", "import lpjax; lpjax.models")
    assert done.returncode == 1
    assert 'ModuleNotFoundError: the package flax is missing; do: pip install "lpjax[run]"' in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_without_its_extra_ends_with_one_line(bare, command):
    done = python(bare, "-m", command)
    assert done.returncode == 2
    assert done.stdout == ""
    assert re.fullmatch(r'lpjax: the package \w+ is missing; do: pip install "lpjax\[run\]"\n', done.stderr)


@pytest.mark.slow
def test_importing_the_library_imports_no_submodule_that_may_lack_its_extra():
    listed = "import lpjax, sys; print(*(name for name in sys.modules if name.startswith('lpjax.')))"
    loaded = {name.split(".")[1] for name in python(os.environ, "-c", listed).stdout.split()}
    assert not loaded & {"data", "interop", "main", "models", "report", "run", "store"}


@pytest.mark.slow
def test_submodules_are_found_without_being_imported():
    program = "import lpjax; print(lpjax.store.paths.__name__, 'models' in dir(lpjax), hasattr(lpjax, 'nothing'))"
    assert python(os.environ, "-c", program).stdout.split() == ["lpjax.store.paths", "True", "False"]
