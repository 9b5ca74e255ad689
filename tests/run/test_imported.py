"""Tickets found elsewhere, in place of trained ones: another run's, and those of PyTorch's implementations."""

import hashlib
import re
import shutil

import jax
import numpy as np
import pytest

from lpjax import interop, run, store
from lpjax.errors import UserError
from lpjax.interop import files, importing
from lpjax.run.imported import imported_stage
from lpjax.run.setup import prepare
from lpjax.store import paths
from lpjax.types import Ticket

pytestmark = pytest.mark.slow  # each needs a run of its own


LEVELS = range(3)


@pytest.fixture
def taking(finished, tiny_config):
    """Makes the config of the finished run, with its tickets taken instead of trained."""

    def make(source=finished, **fields):
        return tiny_config(imp__tickets_from=str(source), **fields)

    return make


@pytest.fixture(scope="module")
def taken(finished, tiny_config, tmp_path_factory):
    """A run that took its tickets from the finished one; not to be changed."""
    config, workdir = tiny_config(), tmp_path_factory.mktemp("taken") / "run"
    config.imp.tickets_from = str(finished)
    run.run(config, workdir)
    return workdir


def directory(workdir, level):
    return paths.level(workdir, 0, level)


def summary(workdir, level):
    return store.read_json(paths.summary(directory(workdir, level)))


def refusal(config, workdir):
    with pytest.raises(UserError) as refused:
        run.run(config, workdir)
    assert "\n" not in str(refused.value)
    assert not list(workdir.glob("seed_*/level_*/summary.json"))
    return str(refused.value)


def test_the_tickets_of_another_work_directory_give_its_pools_and_results_to_the_byte(finished, taken):
    assert paths.results(taken).read_bytes() == paths.results(finished).read_bytes()
    for level in LEVELS:
        ours, theirs = (store.restore_ticket(paths.ticket(directory(d, level))) for d in (taken, finished))
        jax.tree.map(np.testing.assert_array_equal, ours, theirs)


def test_a_summary_tells_where_a_ticket_is_from_and_what_was_measured_here_and_there(finished, taken):
    for level in LEVELS:
        ours, theirs = summary(taken, level), summary(finished, level)
        for field in ("level", "kept", "total", "density", "epoch"):
            assert ours[field] == theirs[field]
        assert ours["imported_validation_accuracy"] == theirs["validation_accuracy"]
        assert ours["validation_accuracy"] == pytest.approx(theirs["validation_accuracy"], abs=1e-6)
        assert ours["source"] == str(directory(finished, level))
        seal = (paths.ticket(directory(finished, level)) / "seal.json").read_bytes()
        assert ours["source_seal"] == hashlib.sha256(seal).hexdigest()
        assert not paths.metrics(directory(taken, level)).exists()


def test_what_was_taken_is_left_alone_and_what_is_lost_is_taken_again(finished, taken, taking, tmp_path):
    source, again = tmp_path / "source", tmp_path / "again"
    shutil.copytree(finished, source)
    shutil.copytree(taken, again)
    shutil.rmtree(directory(again, 1))
    shutil.rmtree(directory(source, 0))  # not asked for: level 0 is there
    before = paths.summary(directory(again, 2)).read_bytes()
    config = taking(source)
    store.write_json(paths.config(again), store.read_json(paths.config(again)) | {"imp": dict(config.imp)})
    run.run(config, again)
    assert summary(again, 1)["source"] == str(directory(source, 1))
    assert paths.summary(directory(again, 2)).read_bytes() == before
    shutil.rmtree(source)
    run.run(config, again)
    assert paths.results(again).read_bytes() == paths.results(finished).read_bytes()


def test_a_summary_is_not_asked_of_a_source(finished, taking, tmp_path):
    bare = tmp_path / "bare"
    shutil.copytree(paths.ticket(directory(finished, 0)), paths.ticket(directory(bare, 0)))
    config = taking(bare, imp__levels=1)
    config.pool.methods = ()
    run.run(config, tmp_path / "run")
    assert summary(tmp_path / "run", 0)["epoch"] is None
    assert "imported_validation_accuracy" not in summary(tmp_path / "run", 0)


def test_a_line_shows_what_was_measured_here_and_what_a_source_states(finished, taking, tmp_path, capsys):
    source = tmp_path / "source"
    shutil.copytree(directory(finished, 0), directory(source, 0))
    config = taking(source, imp__levels=1)
    config.pool.methods = ()
    for stated, said in ((0.93204, ", stated 0.9320"), (None, "")):
        store.write_json(paths.summary(directory(source, 0)), {"validation_accuracy": stated})
        workdir = tmp_path / f"stated {stated}"
        run.run(config, workdir)
        here = summary(workdir, 0)["validation_accuracy"]
        assert f"validation accuracy {here:.4f}{said}, taken from {directory(source, 0)}" in capsys.readouterr().out


def test_tickets_of_two_sources_never_mix(finished, taking, tmp_path):
    source, workdir = tmp_path / "source", tmp_path / "run"
    for level in (0, 1):
        shutil.copytree(directory(finished, level), directory(source, level))
    config = taking(source, imp__levels=2)
    config.pool.methods = ()
    run.run(config, workdir)
    shutil.rmtree(directory(workdir, 1))
    shutil.copytree(directory(finished, 2), directory(source, 1), dirs_exist_ok=True)  # not taken yet: it may differ
    run.run(config, workdir)
    shutil.rmtree(paths.ticket(directory(source, 0)))
    shutil.copytree(paths.ticket(directory(finished, 1)), paths.ticket(directory(source, 0)))
    with pytest.raises(UserError, match=r"level_00.*choose another work directory") as refused:
        run.run(config, workdir)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"imp__levels": 5}, r"lacks seed 0, level 3; there are 3 levels of seed 0; change seeds or imp\.levels"),
        ({"seeds": (1,)}, "lacks seed 1, level 0; there are 3 levels of seed 0"),
        ({"width": 16}, r"'bn1/bias' of shape \(8,\), wanted \(16,\).*; set model, width and dataset to"),
        ({"model": "resnet20"}, "set model, width and dataset to"),
        (
            {"imp__prunable": "kernels"},
            r"never prunes 'fc/kernel', unlike imp\.prunable 'kernels'; set imp\.prunable to 'convolutions'",
        ),
        (
            {"imp__prunable": "path:^layer"},
            r"prunes 'conv1/kernel', unlike imp\.prunable 'path:\^layer'; set imp\.prunable to 'convolutions'",
        ),
    ],
)
def test_tickets_that_do_not_fit_are_refused_in_one_line(taking, tmp_path, fields, message):
    assert re.search(message, refusal(taking(**fields), tmp_path / "run"))


def test_a_source_that_is_none_is_refused_in_one_line(taking, tmp_path):
    workdir = tmp_path / "run"
    assert "imp.tickets_from" in refusal(taking(tmp_path / "absent"), workdir)
    workdir.mkdir()
    assert "the work directory itself" in refusal(taking(workdir), workdir)


def test_tickets_that_normalize_as_another_data_set_are_refused(finished, taking, tmp_path):
    source, workdir = tmp_path / "source", tmp_path / "run"
    shutil.copytree(directory(finished, 0), directory(source, 0))
    store.write_json(source / "tickets.json", {"dataset": "cifar10"})
    config = taking(source, imp__levels=1)
    assert re.search("dataset: got 'digits', expected 'cifar10'", refusal(config, workdir))
    setup = prepare(run.resolve(config))
    for built_in, dataset in (("cifar10", "cifar10:3.0.2"), (None, "digits")):
        store.write_json(source / "tickets.json", {"dataset": built_in})
        setup.config.dataset = dataset
        imported_stage(setup.config, workdir, 0).check(setup)


def test_a_damaged_source_is_named_and_nothing_is_said_of_deleting_it_here(finished, taking, tmp_path):
    source = tmp_path / "source"
    shutil.copytree(directory(finished, 0), directory(source, 0))
    (paths.ticket(directory(source, 0)) / "seal.json").unlink()
    message = refusal(taking(source, imp__levels=1), tmp_path / "run")
    assert str(paths.ticket(directory(source, 0))) in message
    assert "delete" not in message


def test_tickets_in_openlth_s_layout_give_the_pools_of_the_run_they_are_from(tiny_config, tmp_path, monkeypatch):
    def write(path, arrays):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            np.savez(file, **arrays)

    def read(path):
        with np.load(path) as arrays:
            return dict(arrays)

    def changed():
        return tiny_config(
            model="resnet8",  # found by its shapes among the networks there are
            width=16,
            imp__levels=2,
            imp__prunable="kernels",
            imp__count_rule="openlth",
            imp__ticket="last",
            imp__dense="rewound",
            pool__methods=("interpolation",),
        )

    trained = tmp_path / "trained"
    run.run(changed(), trained)
    for level in range(2):
        ticket = store.restore_ticket(paths.ticket(directory(trained, level)))
        masks = interop.to_state_dict(Ticket(ticket.mask, ticket.mask), form="plain")
        main = tmp_path / "lottery_0" / "replicate_1" / f"level_{level}" / "main"
        weights = interop.to_state_dict(ticket, form="plain")
        write(main / "model_ep3_it0.pth", {f"model.{name}": array for name, array in weights.items()})
        write(main / "mask.pth", {n: m.astype(np.int32) for n, m in masks.items() if m.dtype == bool and m.ndim > 1})
    monkeypatch.setattr(files, "load", read)  # PyTorch's own files need PyTorch
    assert len(list(importing.import_tickets(tmp_path / "lottery_0", tmp_path / "imported"))) == 3
    config = changed()
    config.imp.tickets_from = str(tmp_path / "imported")
    run.run(config, tmp_path / "taken")
    assert paths.results(tmp_path / "taken").read_bytes() == paths.results(trained).read_bytes()
