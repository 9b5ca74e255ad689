import re

import pytest

from lpjax import report, store
from lpjax.store import paths
from lpjax.transforms import METHODS

pytestmark = pytest.mark.slow  # draws


@pytest.fixture(scope="module")
def workdir(tmp_path_factory, build_sparse):
    return build_sparse(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def path(workdir):
    return report.write(workdir, "python -m lpjax.main --config=<b>configs</b>/a.py")


@pytest.fixture(scope="module")
def page(path, read_page):
    return read_page(path)


@pytest.fixture
def write(read_page, words_only):
    del words_only
    return lambda workdir: read_page(report.write(workdir, "command"))


def change(workdir, section, **values):
    config = store.read_json(paths.config(workdir))
    store.write_json(paths.config(workdir), {**config, section: {**config[section], **values}})


def keep(workdir, chosen):
    results = store.read_results(paths.results(workdir))
    store.write_results(paths.results(workdir), [row for row in results if chosen(row)])


def test_headline_numbers_are_those_computed_by_hand(page):
    assert (
        "Sup-ticket (CIA) of 3 cheap tickets: test accuracy is 4.00 ± 1.00 points above the base network's" in page.text
    )
    assert (
        "It is higher in 3 of 3 seeds. Against the last of its own cheap tickets, the difference is +3.33 ± 1.15 points"
    )
    assert "The last average had density 0.0800, and was pruned back to 0.0500." in page.text
    assert "Output ensemble of 3 cheap tickets: test accuracy is 5.33 ± 0.58 points above" in page.text
    assert "How far it is" not in page.text


def test_the_table_has_every_network_with_its_gains_and_costs(page):
    calibration = ["0.1250 ± 0.0000", "0.0500"]
    assert [
        "base network",
        "71.00 ± 1.00",
        "–",
        "–",
        "1.2500 ± 0.0000",
        *calibration,
        "0.1200",
        "0.1200",
        "3",
    ] in page.table
    assert [row for row in page.table if row[0] == "cheap ticket 1"] == [
        [
            "cheap ticket 1",
            "72.00 ± 1.00",
            "+1.00 ± 1.00",
            "–",
            "1.2400 ± 0.0100",
            *calibration,
            "0.1200",
            "0.0960",
            "3",
        ]
    ]
    sup = ["Sup-ticket (CIA) of 3", "75.00 ± 1.73", "+4.00 ± 1.00", "+3.33 ± 1.15", "1.2100 ± 0.0100"]
    assert [*sup, *calibration, "0.1200", "0.1200", "3"] in page.table
    assert ["2", "72.33 ± 1.53", "74.00 ± 1.73", "73.00 ± 1.73", "75.33 ± 1.53"] in page.table


def test_the_page_needs_nothing_but_itself(path, page):
    assert page.resources == ["#words"]
    assert 'id="words"' in path.read_text()
    assert not re.search(r"https?://(?!www\.w3\.org/)|url\((?!#)|@import|<script [^>]|<link|<img", path.read_text())
    assert len(re.findall(r'role="img" aria-label="[A-Z][^"]{20,}"><svg', path.read_text())) == page.pictures == 2 * 3
    assert "<b>" not in path.read_text()


def test_the_same_run_gives_the_same_page(tmp_path, build_sparse, write):
    page = paths.report(build_sparse(tmp_path))
    write(tmp_path)
    before = page.read_bytes()
    write(tmp_path)
    assert page.read_bytes() == before


def test_each_thing_is_explained(page):
    for word in (
        "Sparse training, mask, density",
        "Drop, grow, exploration rate",
        "Base network",
        "Cycle, cheap ticket",
    ):
        assert word in page.text
    method = METHODS["rigl"]
    assert f"{method.about} ({method.reference})" in page.text
    assert "the first 14 epochs, its milestones moved accordingly, and 3 cycles of 2ep follow" in page.text
    assert "it drops 50 % of the weights" in page.text
    assert "with 5 % of its weights from the start (method rigl )" in page.text
    assert "the network is sparse all along its training" in page.text
    for kind in (
        "Sup-ticket (CIA) A weight's mean",
        "Sup-ticket (CIMA) A moving average",
        "Output ensemble Not one network",
    ):
        assert kind in page.text
    assert "(CAA)" not in page.text


def test_the_page_says_where_the_superposed_ticket_lies(page):
    assert "Sup-ticket (CIA): seed_0/pools/cia/level_03/ticket" in page.text
    assert "ensemble/level_03" not in page.text


def test_an_unfinished_run_says_how_far_it_is(tmp_path, build_sparse, write):
    build_sparse(tmp_path)
    for method in ("cia", "cima", "ensemble"):
        paths.evaluation(paths.pool(tmp_path, 1, method, 3)).unlink()
    keep(tmp_path, lambda row: (row.seed, row.level) != (1, 3))
    page = write(tmp_path)
    assert ["1", "20 of 20", "20 of 20", "3 of 3", "9 of 9", "10 of 13"] in page.table
    assert "of different seeds, so compare their gains" in page.text
    assert next(row for row in page.table if row[0] == "Sup-ticket (CIA) of 3")[2] == "+3.50 ± 0.71"


def test_before_anything_is_measured_the_page_shows_what_there_is(tmp_path, build_sparse, read_page):
    build_sparse(tmp_path)
    paths.results(tmp_path).unlink()
    page = read_page(report.write(tmp_path, "command"))
    assert "Nothing has been measured" in page.text
    assert page.pictures == 2 * 2


def test_a_run_that_has_only_begun_has_a_page(tmp_path, build_sparse, read_page):
    config = store.read_json(paths.config(build_sparse(tmp_path / "whole")))
    store.write_json(paths.config(tmp_path / "new"), config)
    assert "and cycles of 2ep follow" in read_page(report.write(tmp_path / "new", "command")).text
    line = {"epoch": 1.0, "step": 10, "validation_accuracy": 0.5}
    store.append_jsonl(paths.metrics(paths.level(tmp_path / "new", 0, 0)), line)
    assert ["0", "1 of 20", "0 of 20", "0 of 3", "0 of 9", "0 of 13"] in read_page(
        report.write(tmp_path / "new", "command")
    ).table


def test_one_seed_has_no_spread_and_says_so(tmp_path, build_sparse, write):
    build_sparse(tmp_path)
    config = store.read_json(paths.config(tmp_path))
    store.write_json(paths.config(tmp_path), config | {"seeds": [0]})
    keep(tmp_path, lambda row: row.seed == 0)
    page = write(tmp_path)
    assert "4.00 points above the base network's (one seed: no spread). It is higher in 1 of 1 seed." in page.text
    assert "±" not in page.text


def test_a_loss_and_a_difference_within_its_spread_are_called_so(tmp_path, build_sparse, write):
    build_sparse(tmp_path)
    rows = store.read_results(paths.results(tmp_path))
    fall = {0: -0.05, 1: 0.0, 2: -0.09}
    rows = [
        r._replace(value=r.value + fall[r.seed]) if r.method == "cia" and r.metric == "accuracy" else r for r in rows
    ]
    store.write_results(paths.results(tmp_path), rows)
    text = write(tmp_path).text
    assert "0.67 ± 5.51 points below the base network's" in text
    assert "It is higher in 1 of 3 seeds. The difference is smaller than its own spread" in text


def test_a_run_without_cycles_shows_its_base_network(tmp_path, build_sparse, write):
    build_sparse(tmp_path)
    change(tmp_path, "superpose", share=0.0, ensemble=False)
    keep(tmp_path, lambda row: row.level == 0)
    page = write(tmp_path)
    assert "This run has no cycles: superpose.share is 0" in page.text
    assert [row[0] for row in page.table if row[0].startswith(("base", "cheap", "Sup"))] == ["base network"]
    assert "Where the superposed network lies" not in page.text


@pytest.mark.parametrize(
    ("section", "field", "value", "words"),
    [
        ("sparse", "method", "dense", "A network is trained with all of its weights (method dense )"),
        ("sparse", "method", "granet", "with 5 % of its weights, to which it is pruned on the way (method granet )"),
        ("superpose", "explore", "none", "the mask stays as it is"),
        ("sparse", "method", "erk", "the mask stays as it is"),
        ("superpose", "prune", "end", "pruned at the end"),
        ("superpose", "first", "phase", "made of k + 1 networks"),
        ("superpose", "stats", "recalibrate", "measured again on training images"),
    ],
)
def test_the_words_follow_the_config(tmp_path, build_sparse, write, page, section, field, value, words):
    change(build_sparse(tmp_path), section, **{field: value})
    assert words not in page.text
    assert words in write(tmp_path).text
