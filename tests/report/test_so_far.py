from lpjax import store
from lpjax.report import so_far
from lpjax.store import paths


def test_a_finished_run_lacks_nothing(tmp_path, build):
    assert so_far.missing(build(tmp_path)) == ""
    assert not so_far.summary(tmp_path)["unfinished"]


def test_a_finished_sparse_run_lacks_nothing(tmp_path, build_sparse):
    assert so_far.missing(build_sparse(tmp_path)) == ""
    assert not so_far.summary(tmp_path)["unfinished"]


def test_the_last_line_of_every_process_is_shown(tmp_path):
    assert so_far.last_lines(tmp_path) == []
    for process, text in enumerate(("first\nsecond\n", "only\n", "")):
        store.write_text(paths.log(tmp_path, process), text)
    assert so_far.last_lines(tmp_path) == ["second", "only"]


def test_what_is_missing_is_said_in_one_line(tmp_path, build):
    build(tmp_path, methods=("interpolation",))
    paths.summary(paths.level(tmp_path, 1, 2)).unlink()
    paths.summary(paths.pool(tmp_path, 1, "interpolation", 0)).unlink()
    paths.results(tmp_path).unlink()
    assert so_far.missing(tmp_path) == ("seed 1 has 2 of 3 tickets, 2 of 3 pools; nothing is measured on test images")


def test_what_a_sparse_run_lacks_is_said_in_one_line(tmp_path, build_sparse):
    paths.evaluation(paths.pool(build_sparse(tmp_path), 2, "cia", 3)).unlink()
    assert so_far.missing(tmp_path) == "seed 2 has 12 of 13 networks measured"


def test_of_a_run_that_has_only_begun_everything_is_missing(tmp_path, build_sparse):
    assert so_far.missing(tmp_path) == "no epoch has been recorded yet"
    config = store.read_json(paths.config(build_sparse(tmp_path / "whole")))
    store.write_json(paths.config(tmp_path / "new"), config)
    assert so_far.missing(tmp_path / "new") == "no epoch has been recorded yet"


def test_tickets_by_now_stand_level_by_level_and_seed_by_seed(tmp_path):
    for seed, level, accuracy in ((0, 0, 0.5), (0, 1, 0.75), (2, 0, 0.25)):
        summary = {"kept": 800 + seed, "density": 0.5, "epoch": 2.0, "validation_accuracy": accuracy}
        store.write_json(paths.summary(paths.level(tmp_path, seed, level)), summary)
    table = so_far.ticket_table(tmp_path, sparse=False)
    assert table["seeds"] == [0, 2]
    assert [row["name"] for row in table["rows"]] == ["0", "1"]
    assert [row["accuracy"] for row in table["rows"]] == [[0.5, 0.25], [0.75, None]]
    assert [row["kept"] for row in table["rows"]] == [801, 800]
    assert [row["name"] for row in so_far.ticket_table(tmp_path, sparse=True)["rows"]] == [
        "base network",
        "cheap ticket 1",
    ]
