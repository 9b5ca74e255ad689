"""Documents tell the truth: their commands, files and links exist."""

import importlib.util
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import lpjax

ROOT = Path(__file__).parents[2]
BUILT = ROOT / "docs" / "_build"
PAGES = [ROOT / "README.md", *sorted(path for path in (ROOT / "docs").rglob("*.md") if BUILT not in path.parents)]
DOCUMENTS = [*PAGES, ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md", ROOT / "lpjax" / "README.md"]
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


def programs():
    """Pages with Python blocks, a process each; all but the first page are left to the whole suite."""
    for page in PAGES:
        if "```python" in page.read_text():
            marks = () if name_of(page) == "README.md" else pytest.mark.slow
            yield pytest.param(page, id=name_of(page), marks=marks)


@pytest.mark.parametrize("page", list(programs()))
def test_the_python_blocks_of_a_page_run_and_print_what_it_says(page, tmp_path):
    environment = {name: value for name, value in os.environ.items() if name != "JAX_NUMPY_DTYPE_PROMOTION"}
    runner = Path(__file__).with_name("pages.py")
    done = subprocess.run(
        [sys.executable, runner, page], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr


def test_the_first_program_of_the_readme_is_short_and_needs_the_library_alone():
    first = re.search(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S).group(1)
    assert len(first.splitlines()) <= 12
    assert set(re.findall(r"\bimport (.*)", first)) == {"jax, lpjax, optax"}


def test_every_public_name_is_documented():
    listed = set(re.findall(r"\w+", code((ROOT / "docs" / "api.md").read_text())))
    assert set(lpjax.__all__) - {"__version__"} <= listed


def test_every_public_name_is_in_the_reference_once():
    pages = "".join(path.read_text() for path in sorted((ROOT / "docs" / "reference").glob("*.md")))
    shown = re.findall(r"^\.\. auto(?:function|class):: lpjax\.(\w+)$", pages, re.M)
    assert sorted(shown) == sorted(set(lpjax.__all__) - {"__version__"})


@pytest.mark.parametrize("methods", [lpjax.transforms.METHODS, lpjax.pools.METHODS], ids=["training", "pools"])
def test_the_table_of_methods_has_every_method_with_its_reference(methods):
    page = (ROOT / "docs" / "methods.md").read_text()
    for name, method in methods.items():
        rows = [line for line in page.splitlines() if line.startswith(f"| `{name}` |") and method.about in line]
        assert len(rows) == 1
        assert f"| {method.reference} |" in rows[0]


def test_every_page_is_in_a_table_of_contents_of_the_site():
    listed = set()
    for page in PAGES:
        for toctree in re.findall(r"^```\{toctree\}\n(.*?)^```", page.read_text(), re.M | re.S):
            entries = [re.sub(r".*<(.*)>", r"\1", line) for line in toctree.split("\n") if line and line[0] != ":"]
            listed |= {(page.parent / f"{entry}.md").resolve() for entry in entries}
    assert set(PAGES) - {ROOT / "docs" / "index.md"} <= listed


def anchors(text):
    """Anchors of the headings of a page, as GitHub writes them."""
    outside = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    headings = re.findall(r"^#+ (.*)", outside, re.M)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_files_and_links_of_a_document_exist(path):
    text = path.read_text()
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", text)
    named = re.findall(r"`((?:lpjax|tests|configs|experiments|\.ci)/[\w./]*)`", text)
    missing = [link for link in links if not link.startswith("http") and not (path.parent / link).exists()]
    missing += [name for name in named if not (ROOT / name).exists()]
    for file, anchor in re.findall(r"\]\(([\w./-]*)#([\w-]+)\)", text):
        target = path.parent / file if file else path
        if target.exists() and anchor not in anchors(target.read_text()):
            missing.append(f"{file}#{anchor}")
    assert missing == []


def test_the_metadata_and_the_lock_agree():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    for lock, installed in (("requirements.lock", ("run", "onnx", "dev")), ("docs.lock", ("run", "docs"))):
        lines = [*project["dependencies"]]
        for extra in installed:
            lines += extras[extra]
        needed = {line.split(">=")[0].lower() for line in lines if not line.startswith("lpjax")}
        locked = {line.split("==")[0] for line in (ROOT / ".ci" / lock).read_text().splitlines()}
        assert "jax" in needed
        assert needed <= locked


def test_what_two_locks_hold_is_the_same():
    versions = []
    for lock in ("requirements.lock", "docs.lock"):
        lines = [line for line in (ROOT / ".ci" / lock).read_text().splitlines() if "==" in line]
        versions.append({line.split("==")[0]: line for line in lines})
    main, docs = versions
    shared = main.keys() & docs.keys()
    assert {main[name].split(";")[0].strip() for name in shared} == {
        docs[name].split(";")[0].strip() for name in shared
    }
