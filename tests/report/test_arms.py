import pytest

from lpjax import store
from lpjax.report import arms, reading
from lpjax.store import paths


@pytest.fixture(scope="module")
def workdir(tmp_path_factory, build_sparse):
    return build_sparse(tmp_path_factory.mktemp("run"))


def change(workdir, section, **values):
    config = store.read_json(paths.config(workdir))
    store.write_json(paths.config(workdir), {**config, section: {**config[section], **values}})


def test_a_config_tells_whether_a_run_is_sparse(workdir):
    assert arms.is_sparse(store.read_json(paths.config(workdir)))
    assert arms.is_sparse({"sparse": {"method": "dense"}})
    assert not arms.is_sparse({"sparse": {"method": "none"}})
    assert not arms.is_sparse({})


def test_the_plan_is_in_epochs_whatever_the_units(tmp_path, build_sparse):
    build_sparse(tmp_path)
    plan = arms.Plan(20, 14, 3, True, ("cia", "cima", "ensemble"))
    assert arms.plan(tmp_path) == plan
    change(tmp_path, "superpose", cycle="20it")
    change(tmp_path, "train", duration="200it")
    assert arms.plan(tmp_path) == plan
    change(tmp_path, "superpose", cycle="25it", ensemble=False, base=False)
    assert arms.plan(tmp_path) == arms.Plan(20, 15, 2, False, ("cia", "cima"))


def test_an_arm_is_the_levels_of_one_training(workdir):
    epochs = arms.epochs(workdir).query("seed == 1 and arm == 'cheap'")
    assert epochs["epoch"].tolist() == list(range(1, 21))
    assert epochs[epochs["kept"]]["epoch"].tolist() == [16, 18, 20]


def test_trained_networks_are_named_by_arm(workdir):
    results = arms.named(reading.results(workdir)).query("seed == 0 and split == 'test' and metric == 'nll'")
    levels = results.groupby("method")["level"].apply(list).to_dict()
    made = {method: [1, 2, 3] for method in ("cia", "cima", "ensemble")}
    assert levels == {"base": [0], "cheap": [1, 2, 3], **made}


def test_what_is_made_of_cheap_tickets_took_their_training(workdir):
    cost = {"density": 0.05, "unpruned_density": 0.08, "inference_flops": 0.12, "training_flops": 0.108}
    assert arms.costs(workdir, "cia", 2, [0, 1]) == pytest.approx(cost)
    assert arms.costs(workdir, "base", 0, [0]) == cost | {"unpruned_density": None, "training_flops": 0.12}


def test_an_ensemble_runs_all_of_its_members(workdir):
    cost = arms.costs(workdir, "ensemble", 3, [0, 1])
    assert cost.pop("unpruned_density") is None
    assert cost == pytest.approx({"density": 0.05, "inference_flops": 0.36, "training_flops": 0.12})


def test_costs_that_were_not_recorded_are_none(tmp_path, build_sparse):
    build_sparse(tmp_path)
    assert set(arms.costs(tmp_path, "cia", 9, [0]).values()) == {None}
    assert set(arms.costs(tmp_path, "cia", 3, []).values()) == {None}
    for directory in (paths.level(tmp_path, 0, 1), paths.pool(tmp_path, 0, "cia", 1)):
        store.write_json(paths.summary(directory), {"density": 0.05})
    nothing = {"unpruned_density": None, "inference_flops": None, "training_flops": None}
    assert arms.costs(tmp_path, "cia", 1, [0]) == {"density": 0.05, **nothing}


def test_progress_counts_what_the_config_asks_for(tmp_path, build_sparse):
    build_sparse(tmp_path)
    for level in (2, 3):
        for path in (paths.level(tmp_path, 2, level), paths.pool(tmp_path, 2, "cia", level)):
            paths.summary(path).unlink()
            paths.evaluation(path).unlink()
    paths.metrics(paths.level(tmp_path, 2, 3)).unlink()
    done, _, cut = arms.progress(tmp_path)
    assert done["parts"] == [
        ("epochs of the base network", 20, 20),
        ("epochs of Sup-tickets", 20, 20),
        ("cheap tickets", 3, 3),
        ("networks made of them", 9, 9),
        ("networks measured", 13, 13),
    ]
    assert (done["unfinished"], cut["unfinished"]) == (False, True)
    assert [part[1] for part in cut["parts"]] == [20, 18, 1, 7, 9]


def test_nothing_is_counted_that_was_not_asked_for(tmp_path, build_sparse):
    build_sparse(tmp_path)
    change(tmp_path, "superpose", share=0.0)
    seed, *_ = arms.progress(tmp_path)
    assert seed["parts"] == [("epochs of the base network", 20, 20), ("networks measured", 1, 1)]
    change(tmp_path, "superpose", share=0.3, base=False, averages=[], ensemble=False)
    seed, *_ = arms.progress(tmp_path)
    assert seed["parts"] == [
        ("epochs of Sup-tickets", 20, 20),
        ("cheap tickets", 3, 3),
        ("networks measured", 3, 3),
    ]


def test_before_the_first_epoch_nothing_can_be_said(tmp_path):
    assert arms.plan(tmp_path) is None
    assert arms.progress(tmp_path) == []
