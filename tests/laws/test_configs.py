"""Every config loads, can work, and says what it reproduces."""

import importlib.util
import re
from pathlib import Path

import pytest
from ml_collections import ConfigDict

from lpjax import run

ROOT = Path(__file__).parents[2]
CONFIGS = sorted((ROOT / "configs").glob("*.py"))


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
