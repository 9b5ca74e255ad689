from lpjax import store
from lpjax.report import reading
from lpjax.store import paths


def test_an_empty_directory_holds_nothing_yet(tmp_path):
    assert reading.results(tmp_path).empty
    assert reading.trials(tmp_path, "interpolation").empty
    assert reading.epochs(tmp_path).empty
    assert reading.progress(tmp_path) == []


def test_trials_are_read_seed_by_seed_and_anchor_by_anchor(tmp_path, build):
    trials = reading.trials(build(tmp_path), "interpolation")
    assert len(trials) == 2 * 3 * 2
    accepted = trials[trials["accepted"]]
    assert accepted[["seed", "anchor", "newcomer"]].to_numpy().tolist() == [[0, 0, 1], [0, 1, 2], [1, 0, 1], [1, 1, 2]]


def test_the_epoch_of_the_ticket_is_marked_once_the_level_is_done(tmp_path, build):
    paths.summary(paths.level(build(tmp_path, seeds=(0,)), 0, 2)).unlink()
    epochs = reading.epochs(tmp_path)
    assert len(epochs) == 3 * 3
    assert epochs[epochs["kept"]][["level", "epoch"]].to_numpy().tolist() == [[0, 2], [1, 2]]


def test_progress_counts_what_the_config_asks_for(tmp_path, build):
    build(tmp_path, methods=("recalibrated", "interpolation"))
    paths.summary(paths.level(tmp_path, 1, 2)).unlink()
    paths.summary(paths.pool(tmp_path, 1, "interpolation", 0)).unlink()
    done = {"tickets": 3, "levels": 3, "pools": 6, "all_pools": 6}
    assert reading.progress(tmp_path) == [{"seed": 0, **done}, {"seed": 1, **done, "tickets": 2, "pools": 5}]


def test_the_line_of_an_interrupted_write_is_left_out(tmp_path, build):
    with paths.metrics(paths.level(build(tmp_path, seeds=(0,)), 0, 0)).open("a") as file:
        file.write('{"epoch": 4.0, "valid')
    assert len(reading.epochs(tmp_path)) == 3 * 3


def test_the_first_seed_is_the_smallest_number_and_not_the_first_word(tmp_path):
    for seed in (10, 2):
        store.append_jsonl(
            paths.metrics(paths.level(tmp_path, seed, 0)), {"epoch": 1.0, "validation_accuracy": seed / 100}
        )
    assert reading.epochs(tmp_path)["seed"].tolist() == [2, 10]
