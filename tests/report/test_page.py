import re

import pytest

from lpjax import report, store
from lpjax.store import paths

pytestmark = pytest.mark.slow  # draws

OUTSIDE = r"https?://(?!www\.w3\.org/)|url\((?!#)|@import|<script [^>]|<link|<img"
COMMAND = "python -m lpjax.main --config=<b>configs</b>/a.py --workdir='runs/\"x\"'"


@pytest.fixture(scope="module")
def workdir(tmp_path_factory, build):
    return build(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def path(workdir):
    return report.write(workdir, COMMAND)


@pytest.fixture(scope="module")
def page(path, read_page):
    return read_page(path)


@pytest.fixture
def write(read_page):
    return lambda workdir: read_page(report.write(workdir, "command"))


def test_the_page_lies_where_the_store_says(workdir, path):
    assert path == paths.report(workdir)


def test_headline_numbers_are_those_computed_by_hand(page):
    assert "3.00 ± 1.41 points above the ticket" in page.text
    assert "averaged over 3 levels and 2 seeds" in page.text
    assert "It is higher at 3 of 3 levels" in page.text
    assert "the difference is +2.50 ± 1.41 points" in page.text
    assert ["ticket", "61.00 ± 1.41", "–", "–", "3", "2"] in page.table
    assert ["recalibrated ticket", "61.50 ± 1.41", "+0.50 ± 0.00", "–", "3", "2"] in page.table
    assert ["pool (interpolation)", "64.00 ± 2.83", "+3.00 ± 1.41", "+2.50 ± 1.41", "3", "2"] in page.table
    assert ["SWA", "59.00 ± 1.41", "−2.00 ± 0.00", "−2.50 ± 0.00", "3", "2"] in page.table


def test_levels_gaps_and_calibration_have_their_tables(page):
    level = ["2", "0.6400", "640", "51.00 ± 1.41", "51.50 ± 1.41", "55.00 ± 2.83", "48.00 ± 1.41"]
    assert level in page.table
    assert ["pool (interpolation)", "66.00 ± 2.83", "64.00 ± 2.83", "+2.00 ± 0.00"] in page.table
    assert ["pool (interpolation)", "1.2200 ± 0.0141", "0.1250 ± 0.0000"] in page.table


def test_the_command_is_shown_word_for_word_and_escaped(path, page):
    assert COMMAND in page.text
    assert "<b>" not in path.read_text()


def test_a_config_cannot_inject_markup(tmp_path, words_only, write):
    config = {
        "dataset": "<script>alert(1)</script>",
        "model": "a & b",
        "seeds": [0],
        "imp": {"levels": 1, "prune_fraction": 0.2},
        "pool": {"methods": []},
    }
    store.write_json(paths.config(tmp_path), config)
    page = write(tmp_path)
    assert "<script>alert" not in paths.report(tmp_path).read_text()
    assert "a & b on <script>alert(1)</script>" in page.text


def test_the_page_needs_nothing_but_itself(path, page):
    assert page.resources == ["#words"]
    assert not re.search(OUTSIDE, path.read_text())
    assert path.stat().st_size < 2_000_000


def test_every_link_within_the_page_has_a_target(path, page):
    text = path.read_text()
    assert [f'id="{link[1:]}"' in text for link in page.resources if link.startswith("#")] == [True]


def test_every_picture_says_what_it_shows(path):
    text = path.read_text()
    assert len(re.findall(r'role="img" aria-label="[A-Z][^"]{20,}"><svg', text)) == text.count("<svg") == 2 * 5


def test_words_config_and_environment_are_there(page):
    for word in ("Ticket", "Level", "Pool", "Anchor, candidate, coefficient", "Recalibration", "Validation selects"):
        assert word in page.text
    assert '"prune_fraction": 0.2' in page.text
    assert ["jax", "0.0.1"] in page.table
    assert ["devices", "2 × cpu cpu"] in page.table
    assert not any("commit" in row for row in page.table)


def test_the_same_run_gives_the_same_page(workdir, path):
    before = path.read_bytes()
    assert report.write(workdir, COMMAND).read_bytes() == before


def test_a_finished_run_does_not_speak_of_progress(page):
    assert "How far it is" not in page.text


def test_one_seed_has_no_spread_and_says_so(tmp_path, build, words_only, write):
    page = write(build(tmp_path, seeds=(0,), methods=("recalibrated", "interpolation")))
    assert "2.00 points above the ticket of the same density (one seed: no spread)" in page.text
    assert ["pool (interpolation)", "62.00", "+2.00", "+1.50", "3", "1"] in page.table
    assert "±" not in page.text


def test_a_loss_is_called_a_loss(tmp_path, build, words_only, write):
    page = write(build(tmp_path, methods=("swa",)))
    assert "2.00 ± 0.00 points below the ticket" in page.text
    assert "It is higher at 0 of 3 levels" in page.text
    assert "fairer" not in page.text


def test_no_difference_is_called_none(tmp_path, build, words_only, write):
    build(tmp_path, methods=("interpolation",))
    rows = [row for row in store.read_results(paths.results(tmp_path)) if row.method == "ticket"]
    store.write_results(paths.results(tmp_path), [*rows, *(row._replace(method="average") for row in rows)])
    assert "is the same as the ticket's" in write(tmp_path).text


def test_an_unfinished_seed_is_left_out_of_the_means(tmp_path, build, words_only, write):
    build(tmp_path, methods=("interpolation",))
    rows = store.read_results(paths.results(tmp_path))
    store.write_results(paths.results(tmp_path), [row for row in rows if (row.seed, row.level) != (1, 2)])
    paths.summary(paths.level(tmp_path, 1, 2)).unlink()
    page = write(tmp_path)
    assert ["pool (interpolation)", "62.00", "+2.00", "–", "3", "1"] in page.table
    assert "Seed 1: 2 of 3 tickets, 3 of 3 pools." in page.text


def test_methods_of_different_levels_are_not_to_be_compared(tmp_path, build, words_only, write):
    build(tmp_path, methods=("interpolation",))
    rows = store.read_results(paths.results(tmp_path))
    store.write_results(paths.results(tmp_path), [r for r in rows if r.method == "ticket" or r.level < 2])
    page = write(tmp_path)
    assert ["pool (interpolation)", "68.50 ± 2.83", "+2.50 ± 1.41", "–", "2", "2"] in page.table
    assert "compare their gains" in page.text


def test_before_anything_is_measured_the_page_shows_what_there_is(tmp_path, build, write):
    build(tmp_path, seeds=(0,), methods=("interpolation",))
    paths.results(tmp_path).unlink()
    page = write(tmp_path)
    assert "Nothing has been measured" in page.text
    assert "Seed 0: 3 of 3 tickets, 3 of 3 pools." in page.text
    assert page.pictures == 2 * 2


def test_an_empty_work_directory_has_a_page(tmp_path, write):
    page = write(tmp_path)
    assert "Nothing has been measured" in page.text
    assert "What each thing is" in page.text


@pytest.mark.parametrize(("split", "metric"), [("test", "accuracy"), ("validation", "accuracy"), ("test", "nll")])
def test_a_page_of_one_measurement_alone_can_be_written(tmp_path, build, split, metric, write):
    build(tmp_path, seeds=(0,), methods=("interpolation",))
    rows = store.read_results(paths.results(tmp_path))
    store.write_results(paths.results(tmp_path), [r for r in rows if (r.split, r.metric) == (split, metric)])
    assert "What each thing is" in write(tmp_path).text


def test_a_method_unknown_to_the_report_appears_under_its_own_name(tmp_path, build, write):
    build(tmp_path, seeds=(0,), methods=("swa",))
    rows = store.read_results(paths.results(tmp_path))
    renamed = [r._replace(method="learned_soup") if r.method == "swa" else r for r in rows]
    store.write_results(paths.results(tmp_path), renamed)
    assert ["learned soup", "58.00", "−2.00", "–", "3", "1"] in write(tmp_path).table


def test_damaged_results_are_one_clear_line(tmp_path, build):
    paths.results(build(tmp_path, seeds=(0,), methods=())).write_text("seed,level\n1,2\n")
    with pytest.raises(ValueError, match=r"results\.csv.* seed,level") as caught:
        report.write(tmp_path, "command")
    assert "\n" not in str(caught.value)
