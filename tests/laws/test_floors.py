"""Imports run strictly downward, and the contract that says so can be broken."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow  # `make check` calls the linter itself

ROOT = Path(__file__).parents[2]
LINT = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]


def lint(directory):
    return subprocess.run(LINT, cwd=directory, capture_output=True, text=True, check=False)


@pytest.fixture
def copy(tmp_path):
    shutil.copytree(ROOT / "lpjax", tmp_path / "lpjax", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_every_import_runs_downward():
    done = lint(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("file", "line", "culprit"),
    [
        ("attic.py", "", "lpjax.attic"),
        ("sparsity/upward.py", "import lpjax.main", "lpjax.main"),
        ("pools/stranger.py", "import lpjax.train", "lpjax.train"),
        ("train/layers.py", "import flax", "flax"),
        ("sparsity/optimizer.py", "import optax", "optax"),
        ("pools/picture.py", "import matplotlib", "matplotlib"),
    ],
    ids=["no floor", "upward", "strangers", "flax", "heavy arithmetic", "pictures"],
)
def test_a_breach_is_found(copy, file, line, culprit):
    (copy / "lpjax" / file).write_text(line + "\n")
    done = lint(copy)
    assert done.returncode == 1
    assert culprit in done.stdout
