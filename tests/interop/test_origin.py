"""What a work directory says of a ticket: the candidates of its pool, and its accuracy over seeds."""

import math

import pytest
from scipy import stats

from lpjax import store
from lpjax.interop.destination import RECORD
from lpjax.interop.origin import Accepted, explain, origin_of, provenance, shares
from lpjax.store import Result, paths

TEST = {0: 0.9, 1: 0.8, 2: 0.85}
PRUNING = {"score": "magnitude", "scope": "global", "prune_fraction": 0.2, "prunable": "kernels"}


@pytest.fixture
def pool(tmp_path):
    """A pool around level 2 of seed 1 that took two of three candidates."""
    directory = paths.pool(tmp_path, 1, "interpolation", 2)
    trials = [
        {"candidate": 1, "coefficient": 0.25, "accepted": True},
        {"candidate": 3, "coefficient": 0.9, "accepted": False},
        {"candidate": 0, "candidate_seed": 7, "coefficient": 0.5, "accepted": True},
    ]
    store.write_json(paths.trace(directory), {"trials": trials})
    store.write_json(paths.summary(directory), {"kept": 64, "total": 100, "value": 0.875})
    config = {"model": "resnet8", "dataset": "digits", "sparse": {"method": "none"}, "imp": {"prune_fraction": 0.2}}
    store.write_json(paths.config(tmp_path), config)
    store.write_json(paths.environment(tmp_path), {"lpjax": "0.1.0", "commit": "abc"})
    store.write_text(paths.command(tmp_path), "python -m lpjax.main\n")
    rows = []
    for seed, value in TEST.items():
        rows.append(Result(seed, 2, 64, 100, 0.64, "interpolation", "test", "accuracy", value))
        rows.append(Result(seed, 2, 64, 100, 0.64, "ticket", "test", "accuracy", 0.1))
        rows.append(Result(seed, 1, 80, 100, 0.8, "interpolation", "test", "accuracy", 0.2))
    rows.append(Result(0, 2, 64, 100, 0.64, "interpolation", "validation", "accuracy", 0.5))
    store.write_results(paths.results(tmp_path), rows)
    return directory


def test_accepted_candidates_are_listed_with_what_each_ticket_contributes(pool):
    origin = origin_of(pool)
    assert origin.steps == (Accepted(1, 1, 0.25), Accepted(7, 0, 0.5))
    assert shares(origin.anchor, origin.steps) == {(1, 2): 0.375, (1, 1): 0.125, (7, 0): 0.5}


def test_shares_add_up_to_one_where_a_candidate_comes_twice():
    found = shares((0, 1), [Accepted(0, 2, 0.3), Accepted(0, 1, 0.2), Accepted(0, 2, 0.1)])
    assert sum(found.values()) == pytest.approx(1)
    assert found.keys() == {(0, 1), (0, 2)}


def test_accuracies_are_those_of_the_same_method_and_level_over_seeds(pool):
    validation, test = origin_of(pool).accuracies
    low, high = stats.t.interval(0.95, 2, 0.85, stats.sem(list(TEST.values())))
    assert test.split == "test"
    assert test[1:] == pytest.approx((0.8, 3, 0.85, low, high))
    assert validation[:4] == ("validation", None, 1, 0.5)
    assert math.isnan(validation.low)
    assert math.isnan(validation.high)


def test_provenance_names_the_network_the_place_and_the_candidates(pool):
    known = provenance(origin_of(pool))
    assert (known["method"], known["seed"], known["level"], known["kept"]) == ("interpolation", 1, 2, 64)
    assert (known["model"], known["dataset"], known["commit"]) == ("resnet8", "digits", "abc")
    assert known["validation_accuracy"] == 0.875
    assert known["steps"] == [
        {"seed": 1, "level": 1, "coefficient": 0.25},
        {"seed": 7, "level": 0, "coefficient": 0.5},
    ]


@pytest.mark.parametrize(
    ("config", "wanted"),
    [
        ({"sparse": {"method": "rigl", "density": 0.05}}, "`rigl` at density 0.05"),
        ({"sparse": {"method": "dense", "density": 1.0}}, "Dense training"),
        ({"imp": {"tickets_from": "elsewhere"}}, "imported"),
        ({"imp": {**PRUNING, "rewind": "2ep"}}, "rewinding weights to `2ep`"),
        ({"imp": {**PRUNING, "rewind": "final"}}, "rewinding the learning rate alone"),
        ({}, "not recorded"),
    ],
)
def test_the_method_is_that_of_the_config(pool, config, wanted):
    origin = origin_of(pool)._replace(config=config)
    assert wanted in explain(origin)
    assert "anchor" in explain(origin)


def test_superposed_tickets_say_how_many(pool):
    origin = origin_of(pool)
    assert "cycles 1 to 2" in explain(origin._replace(place=origin.place._replace(pool="cia")))


def test_imported_tickets_are_described_by_their_record(tmp_path):
    directory = paths.level(tmp_path, 0, 1)
    store.write_json(tmp_path / RECORD, {"model": "vgg16", "dataset": "cifar10"})
    assert provenance(origin_of(directory))["model"] == "vgg16"


def test_an_imported_pool_keeps_its_lineage_under_another_seed_and_level(pool, tmp_path):
    directory = paths.level(tmp_path / "imported", 5, 0)
    store.write_json(paths.summary(directory), {"provenance": provenance(origin_of(pool))})
    origin = origin_of(directory)
    assert (origin.method, origin.anchor, origin.steps) == ("interpolation", (1, 2), origin_of(pool).steps)
    assert "level 2 is the anchor" in explain(origin)
    again = provenance(origin)
    assert (again["seed"], again["level"]) == (5, 0)
    assert again["anchor"] == {"seed": 1, "level": 2}


def test_a_directory_outside_a_work_directory_has_no_origin(tmp_path):
    origin = origin_of(tmp_path / "elsewhere")
    assert origin.place is None
    assert origin.accuracies == ()
