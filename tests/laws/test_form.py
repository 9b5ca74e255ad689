"""The form of the code: its words, the length of its files, and nothing left undone."""

import ast
import re
import statistics
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIBRARY = sorted((ROOT / "lpjax").rglob("*.py"))
SOURCES = [*LIBRARY, *sorted((ROOT / "configs").glob("*.py"))]
TESTS = [path for path in sorted((ROOT / "tests").rglob("*.py")) if path != Path(__file__)]

LONGEST = 250
TYPICAL = 120
FORBIDDEN = {
    "alpha": "coefficient",
    "lam": "coefficient",
    "lambda": "coefficient",
    "lmbda": "coefficient",
    "nnz": "kept",
    "percent": "a fraction",
    "percentage": "a fraction",
    "update_bn": "recalibrate",
}


def name_of(path):
    return str(path.relative_to(ROOT))


def identifiers(tree):
    """All names that the code itself chooses; keywords of calls are chosen by whom it calls."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) | ast.arg(arg=name) | ast.Attribute(attr=name):
                yield name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.alias(asname=str(name)):
                yield name


def forbidden_in(text):
    names = {name.lower() for name in identifiers(ast.parse(text))}
    return {
        f"{name}: say {word!r}"
        for name in names
        for bad, word in FORBIDDEN.items()
        if re.search(rf"(^|_){bad}(_|$)", name)
    }


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_one_word_has_one_meaning(path):
    assert not forbidden_in(path.read_text())


def test_forbidden_words_are_found_where_they_are_chosen():
    assert forbidden_in("def mix(alpha_0): return alpha_0") == {"alpha_0: say 'coefficient'"}
    assert forbidden_in("config.keep_percent = 3") == {"keep_percent: say 'a fraction'"}
    assert not forbidden_in("axis.plot(x, alpha=0.5); np.percentile(x, 5); alphabet = lambda lamp: lamp")


def test_files_are_short():
    lengths = {name_of(path): len(path.read_text().splitlines()) for path in LIBRARY}
    assert {name: n for name, n in lengths.items() if n > LONGEST} == {}
    assert statistics.median(lengths.values()) < TYPICAL


@pytest.mark.parametrize("path", [*SOURCES, *TESTS], ids=name_of)
def test_nothing_is_left_undone(path):
    text = path.read_text()
    assert not re.findall(r"\b(?:TODO|FIXME|XXX|NotImplementedError)\b", text)
    assert not re.findall(r"\bmark\.(?:skip|skipif|xfail)\b|\bimportorskip\b|\bpytest\.(?:skip|xfail)\b", text)
