"""Public functions and records are documented, those that a room offers in full, and the examples run."""

import ast
import collections
import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((ROOT / "lpjax").rglob("*.py"))
}
WITH_EXAMPLES = [name for name, path in MODULES.items() if ">>> " in path.read_text()]
FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef


def offered():
    """For every module, the names that some room offers of it."""
    names = collections.defaultdict(set)
    for room in map(importlib.import_module, MODULES):
        for name in getattr(room, "__all__", ()):
            names[getattr(getattr(room, name), "__module__", None)].add(name)
    return names


OFFERED = offered()


def public(body, owner=""):
    """Public functions, classes and methods, with their names; properties read as values and need no sections."""
    for node in body:
        if isinstance(node, FUNCTION | ast.ClassDef) and not node.name.startswith("_"):
            yield owner + node.name, node
            if isinstance(node, ast.ClassDef):
                yield from public(node.body, f"{node.name}.")


def is_record(node):
    return any(ast.unparse(base) == "NamedTuple" for base in node.bases)


def is_value(node):
    return any(ast.unparse(d).split("(")[0].endswith(("property", "setter")) for d in node.decorator_list)


def demanded(node):
    """The sections a docstring must have, each with the names it must explain."""
    if isinstance(node, ast.ClassDef):
        fields = [s.target.id for s in node.body if isinstance(s, ast.AnnAssign)] if is_record(node) else []
        return {"Attributes:": fields} if fields else {}
    if is_value(node):
        return {}
    a = node.args
    names = [x.arg for x in [*a.posonlyargs, *a.args, *a.kwonlyargs] if x.arg not in ("self", "cls")]
    names += [f"*{a.vararg.arg}"] if a.vararg else []
    names += [f"**{a.kwarg.arg}"] if a.kwarg else []
    sections = {"Args:": names} if names else {}
    returns = ast.unparse(node.returns) if node.returns else "None"
    if returns not in ("None", "NoReturn", "Never"):
        sections["Yields:" if "Iterator" in returns or "Generator" in returns else "Returns:"] = []
    return sections


def missing_in(text, offered):
    """What the docstrings lack: sections where a room offers the name, a sentence elsewhere."""
    missing = []
    for name, node in public(ast.parse(text).body):
        docstring = ast.get_docstring(node) or ""
        lines = [line.strip() for line in docstring.splitlines()]
        if not lines:
            missing.append(f"{name}: a docstring")
        sections = demanded(node) if name.split(".")[0] in offered else {}
        for section, explained in sections.items():
            if section not in lines and not (section == "Yields:" and "Returns:" in lines):
                missing.append(f"{name}: {section}")
            missing += [f"{name}: {field}" for field in explained if not any(documents(line, field) for line in lines)]
    return missing


def documents(line, field):
    before, colon, after = line.partition(":")
    return bool(colon) and field in before.replace(" ", "").split(",") and bool(after.strip())


@pytest.mark.parametrize("module", MODULES)
def test_what_is_public_is_documented(module):
    text = MODULES[module].read_text()
    assert ast.get_docstring(ast.parse(text)), "a module says what it is for"
    assert missing_in(text, OFFERED[module]) == []


def test_missing_words_are_found():
    text = '''
def mix(anchor, *, coefficient: float) -> float:
    """Mixes.

    Args:
      anchor: The first.
    """
class Pool(NamedTuple):
    """A pool."""
    value: float
def bare(x): ...
def aside(x):
    """A sentence."""
def _private(x): ...
'''
    assert missing_in(text, {"mix", "Pool"}) == [
        "mix: coefficient",
        "mix: Returns:",
        "Pool: Attributes:",
        "Pool: value",
        "bare: a docstring",
    ]


@pytest.mark.parametrize("module", WITH_EXAMPLES)
def test_examples_run(module):
    assert doctest.testmod(importlib.import_module(module)).failed == 0
