import math

import pytest

from lpjax.report import reading, superposed


@pytest.fixture(scope="module")
def workdir(tmp_path_factory, build_sparse):
    return build_sparse(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def rows(workdir):
    return {(row.method, row.tickets): row for row in superposed.rows(workdir, reading.results(workdir))}


def test_networks_come_in_the_order_in_which_they_arise(rows):
    assert list(rows) == [
        ("base", 0),
        ("cheap", 1),
        ("cheap", 2),
        ("cheap", 3),
        ("cia", 3),
        ("cima", 3),
        ("ensemble", 3),
    ]


def test_a_superposition_is_summed_up_as_by_hand(rows):
    row = rows["cia", 3]
    # Over the base network 0.04, 0.05, 0.03; over the third cheap ticket 0.04, 0.04, 0.02; alone 0.74, 0.77, 0.74.
    assert row.base_gain == pytest.approx((0.04, 0.01, 3, 1))
    assert row.ticket_gain == pytest.approx((0.1 / 3, 0.02 / math.sqrt(3), 3, 1))
    assert row.accuracy == pytest.approx((0.75, 0.03 / math.sqrt(3), 3, 1))
    assert row.nll == pytest.approx((1.21, 0.01, 3, 1))
    assert row.ece == (0.125, 0, 3, 1)
    assert row.better == 3
    assert (row.density, row.inference_flops, row.training_flops) == pytest.approx((0.05, 0.12, 0.12))


def test_cheap_tickets_are_compared_with_the_base_network_alone(rows):
    assert rows["cheap", 3].base_gain.mean == pytest.approx(0.02 / 3)
    assert rows["cheap", 3].better == 2
    assert rows["cheap", 3].ticket_gain is None
    assert rows["cheap", 1].training_flops == pytest.approx(0.096)
    assert rows["base", 0].base_gain is None
    assert rows["base", 0].ticket_gain is None


def test_without_a_base_network_there_is_no_gain_over_it(workdir):
    results = reading.results(workdir)
    rows = superposed.rows(workdir, results[results["level"] > 0])
    assert rows[0].method == "cheap"
    assert {row.base_gain for row in rows} == {None}
    assert rows[-1].ticket_gain.mean == pytest.approx(0.14 / 3)


@pytest.mark.slow
def test_gains_are_taken_over_the_seeds_that_have_both(workdir):
    results = reading.results(workdir)
    row = superposed.rows(workdir, results[(results["seed"] == 0) | (results["level"] > 0)])[-3]
    assert (row.method, row.accuracy.seeds, row.base_gain) == ("cia", 3, pytest.approx((0.04, None, 1, 1)))


def test_without_accuracy_the_rest_is_still_there(workdir):
    results = reading.results(workdir)
    rows = superposed.rows(workdir, results[results["metric"] == "ece"])
    assert [row.accuracy for row in rows] == [None] * 7
    assert rows[4].ece.mean == 0.125


def test_no_results_give_no_rows(tmp_path):
    assert superposed.rows(tmp_path, reading.results(tmp_path)) == []
