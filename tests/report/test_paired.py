import itertools

import numpy as np
import pandas as pd
import pytest

from lpjax.metrics import crossed_bootstrap, mcnemar
from lpjax.report import paired

IMAGES = 40
DENSITIES = (1.0, 0.5)
# Images that are classified rightly, by method and (seed, level).
COUNTS = {
    "ticket": {(0, 0): 20, (0, 1): 16, (1, 0): 22, (1, 1): 12},
    "swa": {(0, 0): 24, (0, 1): 20, (1, 0): 24, (1, 1): 20},
}
GAP = {0: 0.05, 1: 0.1}


def answers(method, seed, level):
    """The ticket is right on the first images; swa, being better, on the last as well."""
    return np.roll(np.arange(IMAGES) < COUNTS[method][seed, level], 0 if method == "ticket" else -2)


RIGHT = {(m, s, n): answers(m, s, n) for m, s, n in itertools.product(COUNTS, (0, 1), (0, 1))}


@pytest.fixture
def results():
    rows = []
    for (method, seed, level), right in RIGHT.items():
        for split, more in (("test", 0), ("validation", GAP[seed])):
            value = right.mean() + more
            rows.append((seed, level, DENSITIES[level], method, split, "accuracy", value))
    return pd.DataFrame(rows, columns=["seed", "level", "density", "method", "split", "metric", "value"])


def stacked(method, level):
    return np.stack([RIGHT[method, seed, level] for seed in (0, 1)])


def test_a_level_is_compared_within_seeds(results):
    dense, sparse, _ = paired.compare(results, RIGHT, "swa")
    assert (dense.method, dense.base, dense.level, dense.density, dense.seeds) == ("swa", "ticket", 0, 1.0, 2)
    assert (dense.difference, sparse.difference) == pytest.approx((0.075, 0.15))  # (4 + 2) / 80, (4 + 8) / 80
    assert (dense.std, sparse.std) == pytest.approx((0.05 / np.sqrt(2), 0.1 / np.sqrt(2)))
    assert (dense.gap, dense.gap_std) == pytest.approx((0.075, 0.05 / np.sqrt(2)))


@pytest.mark.parametrize("level", [0, 1])
def test_the_interval_and_the_p_value_are_those_of_the_answers(results, level):
    row = paired.compare(results, RIGHT, "swa")[level]
    interval = crossed_bootstrap(stacked("swa", level), stacked("ticket", level))
    assert (row.difference, row.low, row.high) == pytest.approx(interval)
    assert row.p == mcnemar(stacked("swa", level), stacked("ticket", level))


def test_all_levels_together_are_a_mean_with_an_interval_and_without_a_p_value(results):
    *_, total = paired.compare(results, RIGHT, "swa")
    both = (np.stack([stacked(method, 0), stacked(method, 1)], axis=1) for method in ("swa", "ticket"))
    assert (total.level, total.density, total.p, total.seeds) == (None, None, None, 2)
    assert (total.difference, total.low, total.high) == pytest.approx(crossed_bootstrap(*both))
    assert total.std == pytest.approx(0.025 / np.sqrt(2))  # 0.1 and 0.125


def test_a_seed_that_lacks_a_level_counts_where_it_is_and_not_over_all(results):
    unfinished = results[~((results["seed"] == 1) & (results["level"] == 1))]
    dense, sparse, total = paired.compare(unfinished, RIGHT, "swa")
    assert (dense.seeds, sparse.seeds, total.seeds) == (2, 1, 1)
    assert sparse.std is None
    assert sparse.difference == total.difference == pytest.approx(0.1)


def test_the_base_can_be_another_and_turns_the_sign(results):
    there = paired.compare(results, RIGHT, "swa")
    back = paired.compare(results, RIGHT, "ticket", base="swa")
    for one, other in zip(there, back, strict=True):
        assert (one.difference, one.low, one.high) == pytest.approx((-other.difference, -other.high, -other.low))
        assert one.p == other.p


def test_without_validation_there_is_no_gap(results):
    for row in paired.compare(results[results["split"] == "test"], RIGHT, "swa"):
        assert (row.gap, row.gap_std) == (None, None)


def test_the_frame_survives_a_csv_file(results, tmp_path):
    rows = paired.compare(results, RIGHT, "swa") + paired.compare(results[results["seed"] == 0], RIGHT, "swa")
    paired.frame(rows).to_csv(tmp_path / "rows.csv", index=False)
    read = pd.read_csv(tmp_path / "rows.csv")
    assert list(read) == list(paired.Comparison._fields)
    assert read["level"].isna().tolist() == [False, False, True] * 2
    assert read["std"].isna().tolist() == [False] * 3 + [True] * 3
    np.testing.assert_allclose(read["difference"], [row.difference for row in rows])


def test_the_table_for_people_is_in_points_and_counts_levels_with_a_difference(results):
    *levels, mean = paired.compare(results, RIGHT, "swa")
    seen = [row._replace(p=p, difference=d) for row, p, d in zip(levels, (0.01, 0.04), (0.1, -0.1), strict=True)]
    head, rule, row = paired.markdown([[*seen, mean]], {"ticket": "winner"}).splitlines()
    assert len({line.count("|") for line in (head, rule, row)}) == 1
    cells = [cell.strip() for cell in row.split("|")[1:-1]]
    assert cells[:3] == ["SWA", "winner", "2"]
    assert cells[3] == f"{100 * mean.difference:+.2f} ± {100 * mean.std:.2f}"
    assert cells[5] == "1, 1 of 2"
    assert "| 0, 0 of 2 |" in paired.markdown([[*(r._replace(p=0.05) for r in levels), mean]])


def test_one_seed_has_no_spread(results):
    text = paired.markdown([paired.compare(results[results["seed"] == 0], RIGHT, "swa")])
    assert "±" not in text


def test_answers_of_another_run_are_refused(results):
    other = RIGHT | {("swa", 1, 0): ~RIGHT["swa", 1, 0]}
    with pytest.raises(ValueError, match=r"'swa', seed 1, level 0 .*0\.4000.*0\.6000"):
        paired.compare(results, other, "swa")


def test_missing_answers_are_named(results):
    with pytest.raises(ValueError, match="'ticket', seed 0, level 0"):
        paired.compare(results, {key: value for key, value in RIGHT.items() if key[0] != "ticket"}, "swa")


@pytest.mark.parametrize(("method", "base"), [("ema", "ticket"), ("swa", "ema")])
def test_a_method_that_was_not_measured_is_refused(results, method, base):
    with pytest.raises(ValueError, match="'ema'"):
        paired.compare(results, RIGHT, method, base)


def test_methods_that_never_meet_are_refused(results):
    apart = results[(results["method"] == "swa") == (results["seed"] == 0)]
    with pytest.raises(ValueError, match="'swa' and 'ticket'"):
        paired.compare(apart, RIGHT, "swa")
