"""Pools of a run: what the devices share, and what the search holds of its tickets."""

import gc
import shutil
import weakref

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax.sharding import Mesh
from ml_collections import ConfigDict

from lpjax import run, store, train
from lpjax.run import pool
from lpjax.run.config import resolve
from lpjax.run.job import prepare
from lpjax.run.pool import build_pools, search, searches, shared_out
from lpjax.store import paths


@given(st.integers(2, 40), st.integers(2, 40))
def test_the_grid_is_shared_where_it_wastes_at_most_half(mixes, devices):
    time_of_grid, ideal = -(-mixes // devices), mixes / devices
    assert (shared_out("auto", mixes, devices) == "grid") == (time_of_grid <= 1.5 * ideal)
    for setting in ("grid", "images"):
        assert shared_out(setting, mixes, devices) == setting


@pytest.mark.parametrize("setting", ["auto", "grid", "images"])
def test_a_single_mix_or_device_leaves_no_grid_to_share(setting):
    assert shared_out(setting, 1, 8) == "images"
    assert shared_out(setting, 11, 1) == "images"


def test_the_papers_grid_is_shared_by_as_many_devices_as_a_host_has():
    assert [shared_out("auto", 11, devices) for devices in (2, 4, 6, 8, 16)] == ["grid"] * 5
    assert shared_out("auto", 11, 7) == "grid"
    assert shared_out("auto", 11, 10) == "images"  # two rounds of which the second is nearly empty


@pytest.fixture(scope="module")
def job(finished_workdir, tiny_config, finished):
    del finished_workdir, finished
    return prepare(ConfigDict(resolve(tiny_config())))


@pytest.fixture
def with_tickets(finished, tmp_path):
    """A work directory with the finished run's tickets, and no pools."""
    for directory in (finished / "seed_0").glob("level_*"):
        shutil.copytree(directory, tmp_path / "seed_0" / directory.name)
    return tmp_path


@pytest.mark.slow
def test_the_search_holds_an_anchor_and_a_candidate_whatever_the_levels(job, with_tickets, monkeypatch):
    loaded, alive = [], []

    def load(*args):
        ticket = load_ticket(*args)
        gc.collect()
        loaded.append(weakref.ref(ticket.params.params["conv1"]["kernel"]))
        alive.append(sum(array() is not None for array in loaded))
        return ticket

    load_ticket = pool.load_ticket
    monkeypatch.setattr(pool, "load_ticket", load)
    build_pools(job, with_tickets, 0, {"uniform": search(job, "uniform"), "recalibrated": search(job, "recalibrated")})
    assert len(loaded) == 3 * (1 + 2) + 3
    assert max(alive) <= 2


@pytest.mark.slow
def test_each_candidate_is_read_in_its_turn_and_the_outcome_is_that_of_the_run(job, finished, with_tickets):
    build_pools(job, with_tickets, 0, {"interpolation": search(job, "interpolation")})
    for anchor in range(3):
        ours, theirs = (paths.pool(place, 0, "interpolation", anchor) for place in (with_tickets, finished))
        assert paths.trace(ours).read_bytes() == paths.trace(theirs).read_bytes()
        mine, other = (store.restore_ticket(paths.ticket(place)) for place in (ours, theirs))
        jax.tree.map(np.testing.assert_array_equal, mine, other)


@pytest.mark.slow
@pytest.mark.parametrize("spread", ["grid", "images"])
def test_eight_devices_build_the_pools_of_one(tiny_config, finished, with_tickets, monkeypatch, spread):
    """From the same tickets: odd splits, three mixes on eight devices, methods of one mix."""
    mesh = Mesh(jax.devices(), (train.AXIS,))
    monkeypatch.setattr(train, "mesh_of", lambda: mesh)
    config = tiny_config()
    config.pool.spread = spread
    job = prepare(ConfigDict(run.config.resolve(config)))
    assert job.mesh.size == 8
    build_pools(job, with_tickets, 0, searches(job))
    for method in config.pool.methods:
        for anchor in range(3):
            ours, theirs = (paths.pool(place, 0, method, anchor) for place in (with_tickets, finished))
            for trial, other in zip(*(store.read_json(paths.trace(p))["trials"] for p in (ours, theirs)), strict=True):
                assert (trial["coefficient"], trial["accepted"]) == (other["coefficient"], other["accepted"])
                np.testing.assert_allclose(trial["values"], other["values"], rtol=1e-6)
            mine, other = (store.restore_ticket(paths.ticket(place)) for place in (ours, theirs))
            jax.tree.map(np.testing.assert_array_equal, mine.mask, other.mask)
            jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), mine.params, other.params)
