"""Pools of a run: what is sharded over devices, and what a search holds of its tickets."""

import gc
import shutil
import weakref
from functools import partial

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax.sharding import Mesh

from lpjax import run, store, train
from lpjax.errors import UserError
from lpjax.run import pools, saved
from lpjax.run.pools import Search, config_searches, pools_stage, shard_grid_or_images
from lpjax.run.setup import prepare
from lpjax.run.stage import run_stage
from lpjax.store import paths


@given(st.lists(st.integers(2, 40), min_size=1, max_size=2), st.integers(2, 40))
def test_the_grid_is_sharded_where_it_wastes_at_most_half(rounds, devices):
    time_of_grid = sum(-(-together // devices) for together in rounds)
    ideal = sum(rounds) / devices
    assert (shard_grid_or_images("auto", rounds, devices) == "grid") == (time_of_grid <= 1.5 * ideal)
    for setting in ("grid", "images"):
        assert shard_grid_or_images(setting, rounds, devices) == setting


@pytest.mark.parametrize("setting", ["auto", "grid", "images"])
def test_a_single_mix_or_device_leaves_no_grid_to_shard(setting):
    assert shard_grid_or_images(setting, [1], 8) == "images"
    assert shard_grid_or_images(setting, [11], 1) == "images"


def test_the_papers_grid_is_sharded_over_as_many_devices_as_a_host_has():
    assert [shard_grid_or_images("auto", [11], devices) for devices in (2, 4, 6, 8, 16)] == ["grid"] * 5
    assert shard_grid_or_images("auto", [11], 7) == "grid"
    assert shard_grid_or_images("auto", [11], 10) == "images"  # ten of eleven, then one: nine devices wait


@pytest.fixture(scope="module")
def setup(finished, tiny_config):
    del finished
    return prepare(run.resolve(tiny_config()))


def build_pools(setup, workdir, searches):
    run_stage(setup, pools_stage(setup.config, workdir, 0, searches))


@pytest.fixture
def with_tickets(finished, tmp_path):
    """A work directory with the finished run's tickets, and no pools."""
    for directory in (finished / "seed_0").glob("level_*"):
        shutil.copytree(directory, tmp_path / "seed_0" / directory.name)
    return tmp_path


@pytest.fixture
def reads(monkeypatch):
    """The kernels of the tickets that are read, and how many of these were alive at once after each."""
    loaded, alive = [], []

    def load(*args):
        ticket = load_ticket(*args)
        gc.collect()
        loaded.append(weakref.ref(ticket.params.params["conv1"]["kernel"]))
        alive.append(sum(array() is not None for array in loaded))
        return ticket

    load_ticket = saved.load_ticket
    monkeypatch.setattr(saved, "load_ticket", load)
    return loaded, alive


@pytest.mark.slow
def test_every_ticket_is_read_once(setup, with_tickets, reads):
    build_pools(setup, with_tickets, {name: Search(name) for name in ("uniform", "recalibrated")})
    assert len(reads[0]) == 3


@pytest.mark.slow
def test_beyond_its_bound_the_search_holds_an_anchor_and_a_candidate_whatever_the_levels(
    setup, with_tickets, reads, monkeypatch
):
    monkeypatch.setattr(pools, "ticket_reader", partial(saved.ticket_reader, held=0))
    build_pools(setup, with_tickets, {name: Search(name) for name in ("uniform", "recalibrated")})
    loaded, alive = reads
    assert len(loaded) == 3 * (1 + 2) + 3
    assert max(alive) <= 2


@pytest.mark.slow
def test_each_candidate_is_read_in_its_turn_and_the_outcome_is_that_of_the_run(setup, finished, with_tickets):
    build_pools(setup, with_tickets, {"again": Search("interpolation")})
    for anchor in range(3):
        ours = paths.pool(with_tickets, 0, "again", anchor)
        theirs = paths.pool(finished, 0, "interpolation", anchor)
        assert store.read_json(paths.trace(ours)) | {"method": "interpolation"} == store.read_json(paths.trace(theirs))
        mine, other = (store.restore_ticket(paths.ticket(place)) for place in (ours, theirs))
        jax.tree.map(np.testing.assert_array_equal, mine, other)


@pytest.mark.slow
@pytest.mark.parametrize("spread", ["grid", "images"])
def test_eight_devices_build_the_pools_of_one(tiny_config, finished, with_tickets, monkeypatch, spread):
    """From the same tickets: odd splits, two mixes on eight devices, methods of one mix."""
    mesh = Mesh(jax.devices(), (train.AXIS,))
    monkeypatch.setattr(train, "mesh_of", lambda: mesh)
    setup = prepare(run.resolve(tiny_config(pool__spread=spread)))
    assert setup.mesh.size == 8
    build_pools(setup, with_tickets, config_searches(setup.config))
    for method in setup.config.pool.methods:
        for anchor in range(3):
            assert_same_pool(*(paths.pool(place, 0, method, anchor) for place in (with_tickets, finished)))


@pytest.mark.slow
def test_eight_devices_recalibrate_every_mix_from_coarse_to_fine_as_one_does(
    tiny_config, setup, with_tickets, monkeypatch
):
    settings = {"rank_by": "recalibrated", "coefficients": (0.1, 0.3, 0.5, 0.7, 0.9), "coarse_stride": 3}
    search = Search("interpolation", candidates=1, settings=settings)
    build_pools(setup, with_tickets, {"one": search})
    mesh = Mesh(jax.devices(), (train.AXIS,))
    monkeypatch.setattr(train, "mesh_of", lambda: mesh)
    everywhere = prepare(run.resolve(tiny_config(pool__spread="grid")))
    build_pools(everywhere, with_tickets, {"eight": search})
    for anchor in range(3):
        one, eight = (paths.pool(with_tickets, 0, name, anchor) for name in ("one", "eight"))
        assert len(store.read_json(paths.trace(one))["trials"][0]["values"]) == 5
        assert_same_pool(eight, one)


def assert_same_pool(ours, theirs):
    for trial, other in zip(*(store.read_json(paths.trace(place))["trials"] for place in (ours, theirs)), strict=True):
        assert (trial["coefficient"], trial["accepted"]) == (other["coefficient"], other["accepted"])
        np.testing.assert_allclose(*(np.array(one["values"], float) for one in (trial, other)), rtol=1e-6)
    mine, other = (store.restore_ticket(paths.ticket(place)) for place in (ours, theirs))
    jax.tree.map(np.testing.assert_array_equal, mine.mask, other.mask)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), mine.params, other.params)


@pytest.mark.slow
def test_a_search_may_have_settings_of_its_own(setup, with_tickets):
    searches = {"halves_of_one": Search("interpolation", candidates=1, settings={"coefficients": (0.5,)})}
    build_pools(setup, with_tickets, searches)
    for anchor in range(3):
        trials = store.read_json(paths.trace(paths.pool(with_tickets, 0, "halves_of_one", anchor)))["trials"]
        assert [trial["coefficients"] for trial in trials] == [[0.5]]


@pytest.mark.slow
def test_pools_that_select_nothing_take_every_candidate_without_measuring_it(setup, with_tickets):
    build_pools(setup, with_tickets, {"swa": Search("swa")})
    trace = store.read_json(paths.trace(paths.pool(with_tickets, 0, "swa", 0)))
    ticket = store.read_json(paths.summary(paths.level(with_tickets, 0, 0)))
    assert trace["start"] == pytest.approx(ticket["validation_accuracy"])
    found = [(trial["accepted"], trial["value"], trial["values"]) for trial in trace["trials"]]
    assert found == [(True, None, [None])] * 2


@pytest.mark.slow
def test_candidates_may_be_the_tickets_of_other_seeds_at_the_anchors_level(setup, with_tickets):
    shutil.copytree(with_tickets / "seed_0", with_tickets / "seed_4")
    build_pools(setup, with_tickets, {"other_seeds": Search("uniform", seeds=(0, 4, 0))})
    for anchor in range(3):
        trials = store.read_json(paths.trace(paths.pool(with_tickets, 0, "other_seeds", anchor)))["trials"]
        assert [(trial["candidate"], trial["candidate_seed"]) for trial in trials] == [(anchor, 4)]


@pytest.mark.slow
def test_mixes_may_be_ranked_on_few_images_and_from_coarse_to_fine(tiny_config, with_tickets):
    changes = {"rank_by": "batch_statistics", "rank_images": 30, "coarse_stride": 3}
    setup = prepare(run.resolve(tiny_config(**{f"pool__{name}": value for name, value in changes.items()})))
    images = setup.measures.rank.args[0].labels
    np.testing.assert_array_equal(images, setup.data.validation.labels[:30])
    coefficients = {"coefficients": (0.1, 0.3, 0.5, 0.7, 0.9)}
    build_pools(setup, with_tickets, {"cheap": Search("interpolation", settings=coefficients)})
    for trial in store.read_json(paths.trace(paths.pool(with_tickets, 0, "cheap", 0)))["trials"]:
        values = trial["values"]
        assert len(values) == 5
        assert values.count(None) in (1, 2)
        assert trial["coefficient"] == trial["coefficients"][values.index(max(v for v in values if v is not None))]


@pytest.mark.slow
def test_a_replayed_search_starts_from_given_values_and_refuses_others_later(finished, tiny_config, tmp_path):
    config = tiny_config(imp__tickets_from=str(finished), pool__methods=("reference",), pool__start=(0.0, 1.0, 0.5))
    workdir = tmp_path / "replayed"
    run.run(config, workdir)
    traces = [store.read_json(paths.trace(paths.pool(workdir, 0, "reference", anchor))) for anchor in range(3)]
    assert [trace["start"] for trace in traces] == [0.0, 1.0, 0.5]
    assert [trial["accepted"] for trial in traces[1]["trials"]] == [False, False]
    assert traces[0]["trials"][0]["accepted"]
    config.pool.start = (0.0, 0.9, 0.5)
    with pytest.raises(UserError, match=r"pool\.start.*level_01"):
        run.run(config, workdir)
