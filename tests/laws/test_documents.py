"""Documents tell the truth: their commands, files and links exist."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "lpjax" / "README.md"]
DOCUMENTS += sorted((ROOT / "experiments").rglob("*.md"))
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))


def name_of(path):
    return str(path.relative_to(ROOT))


def code(text):
    """Fenced blocks and spans of code."""
    return "\n".join(map("".join, re.findall(r"^ *```.*?\n(.*?)^ *```|`([^`\n]+)`", text, re.M | re.S)))


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_commands_of_a_document_exist(path):
    text = code(path.read_text())
    assert set(re.findall(r"\bmake ([a-z-]+)", text)) <= TARGETS
    for module in re.findall(r"python3? -m ((?:lpjax|experiments)[\w.]*)", text):
        assert importlib.util.find_spec(module), module
    for config in re.findall(r"--config=([\w./]+\.py)", text):
        assert (ROOT / config).is_file(), config


EXAMPLES = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)


def test_the_readme_shows_sparse_training_in_an_optax_loop_in_an_nnx_loop_and_pools():
    assert ["nnx" in example for example in EXAMPLES] == [False, True, False, False]
    assert ["lpjax.rigl(" in example for example in EXAMPLES] == [True, True, False, False]


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES, ids=("optax", "nnx", "superpose", "pools"))
def test_an_example_of_the_readme_runs(example, tmp_path):
    environment = {name: value for name, value in os.environ.items() if name not in ("JAX_NUMPY_DTYPE_PROMOTION",)}
    done = subprocess.run(
        [sys.executable, "-c", example], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_files_and_links_of_a_document_exist(path):
    text = path.read_text()
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", text)
    named = re.findall(r"`((?:lpjax|tests|configs|experiments|\.ci)/[\w./]*)`", text)
    missing = [link for link in links if not link.startswith("http") and not (path.parent / link).exists()]
    missing += [name for name in named if not (ROOT / name).exists()]
    assert missing == []


def test_the_metadata_and_the_lock_agree():
    needed = re.findall(r"^    ([a-z][a-z-]+)>=", (ROOT / "setup.cfg").read_text(), re.M)
    locked = {line.split("==")[0] for line in (ROOT / ".ci" / "requirements.lock").read_text().splitlines()}
    assert "jax" in needed
    assert set(needed) <= locked
