import json
import re

import pytest

from lpjax import pools, transforms
from lpjax.errors import UserError
from lpjax.report import cite
from lpjax.report.cite import POOLS, SPARSE, entries


def keys(workdir):
    return re.findall(r"^@\w+\{(.+),", cite(workdir), re.MULTILINE)


@pytest.fixture
def run(tmp_path):
    def run(**config):
        (tmp_path / "config.json").write_text(json.dumps({"seeds": [0], "model": "resnet8"} | config))
        return tmp_path

    return run


def test_every_method_has_an_entry_or_no_paper():
    assert set(POOLS) == set(pools.METHODS)
    assert set(SPARSE) == set(transforms.METHODS) | {"dense"}
    for key in (*POOLS.values(), *SPARSE.values()):
        assert not key or key in entries()


def test_every_entry_is_complete():
    for key, entry in entries().items():
        assert entry.count("{") == entry.count("}")
        assert set(re.findall(r"^  (\w+) = ", entry, re.MULTILINE)) >= {"title", "author", "year"}, key


def test_a_run_of_pools_cites_tickets_rewinding_and_its_pools_once(run):
    pool = {"methods": ["recalibrated", "interpolation", "swa"]}
    workdir = run(imp={"rewind": "2ep"}, pool=pool)
    assert keys(workdir) == ["frankle2019lottery", "frankle2020linear", "yin2023lottery", "izmailov2018averaging"]


def test_learning_rate_rewinding_and_corruptions_are_cited_where_they_are_used(run):
    workdir = run(imp={"rewind": "final"}, pool={"methods": []}, corruptions={"measure": "all"})
    assert keys(workdir) == ["frankle2019lottery", "renda2020comparing", "hendrycks2019benchmarking"]


def test_rewinding_to_the_initial_weights_is_of_the_first_paper(run):
    assert keys(run(imp={"rewind": "0it"}, pool={"methods": ["recalibrated"]})) == ["frankle2019lottery"]


def test_a_sparse_run_cites_its_method_and_what_superposes(run):
    workdir = run(sparse={"method": "rigl"}, superpose={"share": 0.3})
    assert keys(workdir) == ["evci2020rigging", "yin2022superposing"]
    assert keys(run(sparse={"method": "uniform"}, superpose={"share": 0.0})) == []


def test_a_directory_of_no_run_is_refused(tmp_path):
    with pytest.raises(UserError, match="no config"):
        cite(tmp_path)
