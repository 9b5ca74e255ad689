import math

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lpjax import store
from lpjax.report import reading, style, tables


@pytest.fixture(scope="module")
def results(tmp_path_factory, build):
    return reading.results(build(tmp_path_factory.mktemp("run")))


def values(table):
    """By (seed, level), from {seed: {level: value}}."""
    cells = {(seed, level): value for seed, levels in table.items() for level, value in levels.items()}
    return pd.Series(cells, pd.MultiIndex.from_tuples(cells, names=["seed", "level"]), dtype=float)


def summary(results):
    return {row.method: row for row in tables.rows(results)}


def test_a_method_is_summed_up_as_by_hand(results):
    row = summary(results)["interpolation"]
    # Seed means: 0.62 and 0.66; gains 0.02 and 0.04; the deviation of two numbers is their distance over root 2.
    assert row.accuracy == pytest.approx((0.64, 0.04 / math.sqrt(2), 2, 3))
    assert row.gain == pytest.approx((0.03, 0.02 / math.sqrt(2), 2, 3))
    assert row.control_gain == pytest.approx((0.025, 0.02 / math.sqrt(2), 2, 3))
    assert row.gap == pytest.approx((0.02, 0, 2, 3), abs=1e-12)
    assert row.nll == pytest.approx((1.22, 0.02 / math.sqrt(2), 2, 3))
    assert row.ece == (0.125, 0, 2, 3)
    assert row.above == 3
    assert summary(results)["swa"].above == 0


def test_controls_are_not_compared_with_themselves(results):
    rows = summary(results)
    assert rows["ticket"].gain is None
    assert rows["ticket"].control_gain is None
    assert rows["recalibrated"].gain.mean == pytest.approx(0.005)
    assert rows["recalibrated"].control_gain is None


def test_methods_come_in_one_order_with_strangers_last(results):
    assert [row.method for row in tables.rows(results)] == ["ticket", "recalibrated", "interpolation", "swa"]
    assert style.in_order({"zebra", "uniform", "ticket", "ant"}) == ["ticket", "uniform", "ant", "zebra"]


def test_what_was_not_measured_is_none(results):
    only = results[(results["method"] == "interpolation") & (results["split"] == "validation")]
    (row,) = tables.rows(only)
    assert row.validation.levels == 3
    assert (row.accuracy, row.gain, row.control_gain, row.gap, row.nll, row.ece) == (None,) * 6


def test_no_results_give_no_rows(results):
    assert tables.rows(results[:0]) == []


def test_levels_are_averaged_over_seeds_alone(results):
    levels = tables.by_level(results)
    assert [(row["level"], row["density"], row["kept"]) for row in levels] == [
        (0, 1, 1000),
        (1, 0.8, 800),
        (2, 0.64, 640),
    ]
    assert levels[2]["accuracy"]["interpolation"] == pytest.approx((0.55, 0.04 / math.sqrt(2), 2, 1))


def test_an_unfinished_seed_does_not_shift_the_mean():
    assert tables.spread(values({0: {0: 0.5, 1: 0.7}, 1: {0: 0.9}})) == (pytest.approx(0.6), None, 1, 2)


def test_one_seed_has_no_spread():
    assert tables.spread(values({3: {0: 0.5}})) == (0.5, None, 1, 1)


def test_no_values_have_no_mean():
    assert tables.spread(values({0: {0: math.nan}})) is None


shares = st.integers(0, 1000).map(lambda n: n / 1000)
runs = st.dictionaries(
    st.integers(0, 9), st.dictionaries(st.integers(0, 5), shares, min_size=1), min_size=1, max_size=5
)


@given(runs, shares)
def test_the_same_gain_everywhere_is_the_mean_gain_without_spread(run, gain):
    ticket = values(run)
    spread = tables.spread(ticket + gain - ticket)
    assert spread.mean == pytest.approx(gain, abs=1e-9)
    assert spread.std is None or spread.std == pytest.approx(0, abs=1e-9)
    assert spread.levels == max(len(levels) for levels in run.values())
    assert 1 <= spread.seeds <= len(run)


@given(runs)
def test_a_mean_lies_between_its_seeds(run):
    table = tables.finished(values(run))
    assert not table.isna().any(axis=None)
    means = table.mean(axis="columns")
    assert means.min() - 1e-9 <= tables.spread(values(run)).mean <= means.max() + 1e-9


def sized(seed, level, method, **values):
    subject = (seed, level, 8, 10, 0.8, method)
    return [store.Result(*subject, "size", metric, value) for metric, value in values.items()]


def test_sizes_are_shares_of_the_dense_network_by_level_and_method():
    dense = {"parameters": 100, "flops": 1000, "bytes": 400}
    rows = sized(0, 1, "ticket", **dense, shrunk_parameters=50, shrunk_flops=250, shrunk_bytes=200)
    rows += sized(1, 1, "ticket", **dense, shrunk_parameters=70, shrunk_flops=350, shrunk_bytes=280)
    (row,) = tables.sizes(pd.DataFrame(rows))
    subject = {"level": 1, "density": pytest.approx(0.8), "method": "ticket"}
    assert row == subject | {"parameters": 0.6, "flops": 0.3, "bytes": 0.6}


def test_without_sizes_there_are_no_rows(results):
    assert tables.sizes(results) == []


def test_time_is_a_share_too_where_it_was_measured():
    dense = {"parameters": 100, "flops": 1000, "bytes": 400, "milliseconds": 8.0}
    shrunk = {"shrunk_parameters": 50, "shrunk_flops": 250, "shrunk_bytes": 200, "shrunk_milliseconds": 6.0}
    (row,) = tables.sizes(pd.DataFrame(sized(0, 1, "ticket", **dense, **shrunk)))
    assert row["milliseconds"] == 0.75
