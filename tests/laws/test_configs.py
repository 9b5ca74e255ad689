"""Every config loads, can work, and says what it reproduces."""

import importlib.util
import re
from pathlib import Path

import pytest
from ml_collections import ConfigDict

from lpjax import run

ROOT = Path(__file__).parents[2]
CONFIGS = sorted((ROOT / "configs").glob("*.py"))
SPARSE = [path for path in CONFIGS if path.stem.startswith("suptickets_")]


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def headings(docstring):
    return {word: rest.strip() for word, rest in re.findall(r"^(Command|Paper|Ours)\b[^:\n]*:(.*)$", docstring, re.M)}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_config_loads_and_can_work(path):
    config = load(path).get_config()
    assert isinstance(config, ConfigDict)
    assert set(config.to_dict()) == set(run.default_config().to_dict())
    run.check(config)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_config_opens_with_paper_command_and_expected_value(path):
    found = headings(load(path).__doc__)
    assert set(found) == {"Command", "Paper", "Ours"}
    assert f"--config=configs/{path.name}" in found["Command"] or found["Command"].startswith("make ")
    assert found["Paper"]
    assert "not yet measured" in found["Ours"] or re.search(r"\d", found["Ours"])


@pytest.mark.parametrize("path", SPARSE, ids=lambda path: path.stem)
@pytest.mark.parametrize("argument", ["set,0.8", "granet,0.95", "snip,0.9", "dense"])
def test_a_config_of_sparse_training_takes_method_and_sparsity(path, argument):
    method, _, sparsity = argument.partition(",")
    config = load(path).get_config(argument)
    run.check(config)
    assert config.sparse.method == method
    assert config.sparse.density == pytest.approx(1 - float(sparsity or 0))


@pytest.mark.parametrize("path", SPARSE, ids=lambda path: path.stem)
def test_a_config_of_sparse_training_shows_the_argument_it_has_by_default(path):
    shown = re.search(rf"configs/{path.name}:(\S+)", load(path).__doc__)
    assert load(path).get_config(shown[1]).to_dict() == load(path).get_config().to_dict()
