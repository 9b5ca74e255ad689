"""Work directories of lpjax 0.1: they are read, measured and resumed by the same command and config."""

import csv
import shlex
import shutil
import tarfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from lpjax import report, run, sparsity, store, train
from lpjax.errors import UserError
from lpjax.report import reading
from lpjax.run.config import RENAMED, assert_known, fields, upgrade
from lpjax.run.saved import load_ticket
from lpjax.run.setup import prepare
from lpjax.run.training import NO_METRICS, Loop
from lpjax.store import paths
from lpjax.types import Variables

OLD = Path(__file__).parents[1] / "old_workdirs"


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    """Unpacks an archive; the copy is written to."""

    def unpack(name):
        place = tmp_path_factory.mktemp("old")
        with tarfile.open(OLD / f"{name}.tar.xz") as archive:
            archive.extractall(place, filter="data")
        return place / name

    return unpack


def config_of(workdir):
    """The config of a work directory in today's names, as a user would give it."""

    def with_tuples(tree):
        if isinstance(tree, dict):
            return {name: with_tuples(value) for name, value in tree.items()}
        return tuple(tree) if isinstance(tree, list) else tree

    config = run.default_config()
    config.update(ConfigDict(with_tuples(upgrade(store.read_json(paths.config(workdir))))))
    return config


def rows(path):
    with Path(path).open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def ours(row):
    return tuple(row[name] for name in ("seed", "level", "kept", "total", "density", "method", "split", "metric"))


def assert_same_networks(got, wanted):
    """Accuracies are those of one kind of processor; all else is exact."""
    known = [row for row in got if row["split"] != "size"]  # which the old version did not measure
    assert [ours(row) for row in known] == [ours(row) for row in wanted]
    for row, other in zip(known, wanted, strict=True):
        assert float(row["value"]) == pytest.approx(float(other["value"]), abs=0.25 if row["metric"] != "nll" else 1.0)


@pytest.fixture(scope="module")
def imp(unpacked):
    """The run of iterative pruning, before and after the same command."""
    before = unpacked("imp")
    after = before.with_name("after")
    shutil.copytree(before, after)
    setup = run.run(config_of(before), after)
    return before, after, setup


def test_the_names_of_an_old_config_are_translated(unpacked):
    workdir = unpacked("imp")
    old = store.read_json(paths.config(workdir))
    new = upgrade(old)
    for before, after in RENAMED.items():
        section, name = before.split(".")
        new_section, new_name = after.split(".")
        assert name in old[section]
        assert name not in new[section]
        assert new_name in new[new_section]
    assert (new["pool"]["candidates"], new["pool"]["recalibration_batches"]) == (2, "fresh")
    assert upgrade(new) == new


def test_an_old_field_on_the_command_line_is_refused_with_the_new_name():
    for old, new in RENAMED.items():
        with pytest.raises(UserError, match=f"{old}.*{new}"):
            assert_known(old)


def test_an_old_field_in_a_config_is_refused_with_the_new_name():
    config = run.default_config()
    config.unlock()
    config.pool.newcomers = 3
    with pytest.raises(UserError, match=r"pool\.newcomers.*pool\.candidates"):
        run.check(config)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["imp", "rigl", "rigl_stopped"])
def test_the_report_of_an_old_work_directory_is_written(unpacked, name):
    workdir = unpacked(name)
    command = shlex.join(["python", "-m", "lpjax.main"])
    assert report.write(workdir, command).exists()


def test_the_trials_of_an_old_pool_name_their_candidates(unpacked):
    trials = reading.trials(unpacked("imp"), "interpolation")
    assert set(trials["candidate"]) == {0, 1, 2}


@pytest.mark.slow
def test_old_tickets_come_back_with_masks_that_mirror_them(unpacked):
    workdir = unpacked("imp")
    setup = prepare(run.resolve(config_of(workdir)))
    for level, kept in enumerate((1170, 936, 749)):
        ticket = load_ticket(setup, paths.level(workdir, 0, level))
        assert jax.tree.map(np.shape, ticket.mask) == jax.tree.map(np.shape, ticket.params)
        assert int(sparsity.kept(ticket.mask, setup.network.prunable)) == kept
        sparsity.assert_on_mask(ticket.params, ticket.mask)


@pytest.mark.slow
def test_iterative_pruning_goes_on_where_the_old_version_stopped(imp):
    before, after, _ = imp
    assert_same_networks(rows(paths.results(after)), rows(OLD / "imp.csv"))
    for ticket in (before / "seed_0").rglob("seal.json"):
        assert ticket.read_bytes() == (after / ticket.relative_to(before)).read_bytes()
    assert set(RENAMED) & set(fields(ConfigDict(store.read_json(paths.config(after))))) == set()


@pytest.mark.slow
@pytest.mark.parametrize("lost", [1, 2])
def test_a_level_is_trained_anew_from_the_mask_and_rewind_point_of_the_old_version(unpacked, imp, lost, monkeypatch):
    _, after, setup = imp
    workdir = unpacked("imp")
    shutil.rmtree(paths.level(workdir, 0, lost))
    monkeypatch.setattr(run, "prepare", lambda _: setup)
    run.run(config_of(workdir), workdir)
    one, other = (load_ticket(setup, paths.level(place, 0, lost)) for place in (workdir, after))
    jax.tree.map(np.testing.assert_array_equal, one.mask, other.mask)


@pytest.mark.slow
def test_sparse_training_goes_on_where_the_old_version_stopped(unpacked):
    workdir = unpacked("rigl")
    run.run(config_of(workdir), workdir)
    assert_same_networks(rows(paths.results(workdir)), rows(OLD / "rigl.csv"))


@pytest.mark.slow
def test_training_that_the_old_version_interrupted_goes_on_at_its_step(unpacked, capsys):
    workdir = unpacked("rigl_stopped")
    (progress,) = (workdir / "seed_0").glob("level_*/progress")
    lines = store.read_jsonl(paths.metrics(progress.parent))
    run.run(config_of(workdir), workdir)
    assert "starts again" not in capsys.readouterr().out
    assert store.read_jsonl(paths.metrics(progress.parent))[: len(lines)] == lines
    summary = store.read_json(paths.summary(progress.parent))
    assert summary["kept"] == round(0.2 * summary["total"])


class Training(NamedTuple):
    """What a training loop carries, small."""

    state: Any
    seen: np.ndarray
    lines: int


def begun(step, mask, **more):
    state = train.TrainState(jnp.int32(step), Variables({"w": jnp.ones(3)}, {}), {"mask": mask, **more})
    return Training(state, NO_METRICS, step)


@pytest.fixture
def resume(tmp_path):
    """Saves one training, and resumes with another."""
    setup = SimpleNamespace(steps=lambda duration: 10, config=ConfigDict({"save_every": "10it"}))

    def resume(saved, new):
        store.save_progress(paths.progress(tmp_path), **saved._asdict()).result()
        for step in range(7):
            store.append_jsonl(paths.metrics(tmp_path), {"step": step})
        loop = Loop(setup, tmp_path, "level 3", progress=None)
        loop.resume(new)
        return loop.training, store.read_jsonl(paths.metrics(tmp_path))

    return resume


def test_progress_whose_masks_are_scalars_is_resumed_with_masks_that_mirror_the_parameters(resume, caplog):
    resumed, lines = resume(begun(7, {"w": jnp.array(True)}), begun(0, {"w": jnp.zeros(3, bool)}))
    assert (int(resumed.state.step), resumed.lines, len(lines)) == (7, 7, 7)
    assert resumed.state.opt_state["mask"]["w"].tolist() == [True, True, True]
    assert not caplog.messages


def test_progress_of_another_structure_is_told_in_one_line_and_the_level_starts_again(resume, caplog):
    caplog.set_level("INFO", logger="lpjax")
    new = begun(0, {"w": jnp.ones(3, bool)})
    resumed, lines = resume(begun(7, {"w": jnp.ones(3, bool)}, moment=jnp.ones(3)), new)
    assert resumed is new
    assert lines == []
    (line,) = caplog.messages
    assert line.startswith("lpjax: level 3 starts again: ")
    assert "\n" not in line
