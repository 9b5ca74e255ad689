import numpy as np
import pytest

from lpjax import store
from lpjax.errors import UserError
from lpjax.report import describe
from lpjax.store import paths
from lpjax.types import Ticket


@pytest.fixture(scope="module")
def workdir(tmp_path_factory, build):
    workdir = build(tmp_path_factory.mktemp("run"))
    for level, kept in enumerate((4, 3, 2)):
        mask = np.arange(4).reshape(2, 2) < kept
        params = {"fc": {"kernel": mask.astype(np.float32), "bias": np.zeros(2, np.float32)}}
        masks = {"fc": {"kernel": mask, "bias": np.ones(2, bool)}}
        store.save_ticket(paths.ticket(paths.level(workdir, 0, level)), Ticket(params, masks))
    return workdir


@pytest.fixture(scope="module")
def lines(workdir):
    return [" ".join(line.split()) for line in describe(workdir).splitlines()]


def test_levels_have_their_densities_and_accuracies(lines):
    assert "1 0.8000 800 61.00 ± 1.41 61.50 ± 1.41 63.00 ± 2.83 59.00 ± 1.41" in lines


def test_layers_have_a_density_per_level(lines):
    assert "level 0 level 1 level 2" in lines
    assert "fc/kernel 1.000 0.750 0.500" in lines
    assert not any("bias" in line for line in lines)


def test_pools_tell_what_they_are_made_of(lines):
    assert "level 0: level 1 (c=0.25); 1 of 2 accepted" in lines
    assert "level 2: none; 0 of 2 accepted" in lines


def test_pools_of_another_method_can_be_asked_for(workdir):
    assert "SWA, seed 1" in describe(workdir, seed=1, method="swa")


def test_a_seed_or_method_that_is_not_there_is_refused(workdir):
    with pytest.raises(UserError, match="--seed: got 7"):
        describe(workdir, seed=7)
    with pytest.raises(UserError, match="--method"):
        describe(workdir, method="average")


def test_before_anything_is_measured_validation_is_shown(tmp_path, build):
    workdir = build(tmp_path)
    paths.results(workdir).unlink()
    found = {"level": 1, "kept": 800, "density": 0.8, "epoch": 2.0, "validation_accuracy": 0.65}
    store.write_json(paths.summary(paths.level(workdir, 1, 1)), found)
    text = describe(workdir)
    assert "validation accuracy (%) so far" in text
    assert ["1", "0.8000", "800", "65.00"] in [line.split() for line in text.splitlines()]


def test_a_sparse_run_is_told_by_its_method(tmp_path, build_sparse):
    text = describe(build_sparse(tmp_path))
    assert "sparse training by rigl" in text
    assert "Sup-ticket (CIA)" in text
