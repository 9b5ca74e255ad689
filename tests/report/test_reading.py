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
    assert accepted[["seed", "anchor", "candidate"]].to_numpy().tolist() == [[0, 0, 1], [0, 1, 2], [1, 0, 1], [1, 1, 2]]


def test_the_epoch_of_the_ticket_is_marked_once_the_level_is_done(tmp_path, build):
    paths.summary(paths.level(build(tmp_path, seeds=(0,)), 0, 2)).unlink()
    epochs = reading.epochs(tmp_path)
    assert len(epochs) == 3 * 3
    assert epochs[epochs["kept"]][["level", "epoch"]].to_numpy().tolist() == [[0, 2], [1, 2]]


def test_progress_counts_what_the_config_asks_for(tmp_path, build):
    build(tmp_path, methods=("recalibrated", "interpolation"))
    paths.summary(paths.level(tmp_path, 1, 2)).unlink()
    paths.summary(paths.pool(tmp_path, 1, "interpolation", 0)).unlink()
    done = {"seed": 0, "parts": [("tickets", 3, 3), ("pools", 6, 6)], "training": []}
    training = [{"level": 2, "epoch": 3.0, "epochs": None}]
    cut = {"seed": 1, "parts": [("tickets", 2, 3), ("pools", 5, 6)], "training": training}
    assert reading.progress(tmp_path) == [done, cut]


def test_a_level_in_training_says_which_epoch_it_has_reached_of_how_many(tmp_path, build):
    config = store.read_json(paths.config(build(tmp_path, seeds=(0,), methods=())))
    store.write_json(paths.config(tmp_path), config | {"train": {"duration": "100it"}})
    paths.summary(paths.level(tmp_path, 0, 2)).unlink()
    store.append_jsonl(paths.metrics(paths.level(tmp_path, 0, 2)), {"epoch": 4.0, "step": 32})
    assert reading.progress(tmp_path)[0]["training"] == [{"level": 2, "epoch": 4.0, "epochs": 12.5}]


def test_what_is_known_of_tickets_before_they_are_measured(tmp_path, build):
    assert reading.tickets(tmp_path).empty
    summary = {"kept": 800, "density": 0.8, "epoch": 2.0, "validation_accuracy": 0.6}
    store.write_json(paths.summary(paths.level(tmp_path, 3, 1)), summary)
    paths.level(tmp_path, 3, 2).mkdir()
    assert reading.tickets(tmp_path).to_dict("records") == [{"seed": 3, "level": 1, **summary}]


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
