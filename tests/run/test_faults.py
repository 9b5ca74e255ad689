"""What breaks on disk and in training is found, named in one line, and mended as the line says, to the same bits."""

import itertools
import json
import re
import shutil

import jax
import numpy as np
import pytest

from experiments.faults.compare import differences
from lpjax import run, store
from lpjax.errors import UserError
from lpjax.store import paths

pytestmark = pytest.mark.slow
LEVEL, POOL = "seed_0/level_01", "seed_0/pools/interpolation/level_01"


@pytest.fixture
def workdir(finished, tmp_path):
    """A copy of the finished run, to be broken."""
    return shutil.copytree(finished, tmp_path / "run")


def largest_file(directory):
    return max((path for path in directory.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)


def cut_short(directory):
    path = largest_file(directory)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip_a_bit(directory):
    path = largest_file(directory)
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 1
    path.write_bytes(content)


DAMAGES = (cut_short, flip_a_bit)


def refused(config, workdir):
    with pytest.raises(UserError) as caught:
        run.run(config, workdir)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


@pytest.mark.parametrize(
    ("damaged", "missing"),
    [
        (f"{LEVEL}/ticket", [f"{LEVEL}/evaluation.json"]),  # found when it is measured
        (f"{LEVEL}/ticket", [POOL]),  # when pools are built
        ("seed_0/level_00/successor", [LEVEL]),  # when the next level begins
        ("seed_0/rewind", [LEVEL]),
        (f"{POOL}/ticket", [f"{POOL}/evaluation.json"]),
    ],
)
def test_a_damaged_ticket_is_named_and_alone_recomputed_to_the_same_bits(
    damaged, missing, workdir, finished, tiny_config
):
    for name in missing:
        there = workdir / name
        shutil.rmtree(there) if there.is_dir() else there.unlink()
    for damage in DAMAGES:
        damage(workdir / damaged)
        said = refused(tiny_config(), workdir)
        assert str(workdir / damaged) in said
        assert "delete that folder and run the same command again" in said
        shutil.rmtree(workdir / damaged)
        shutil.copytree(finished / damaged, workdir / damaged)
    shutil.rmtree(workdir / damaged)
    run.run(tiny_config(), workdir)
    assert differences(finished, workdir) == []


@pytest.fixture(scope="module")
def stopped(tiny_config, tmp_path_factory, _prepared_once):
    """A run stopped in its second level, with its progress saved; not to be changed."""
    del _prepared_once
    workdir, calls, append = tmp_path_factory.mktemp("run") / "stopped", itertools.count(), store.append_metrics

    def stop(*arguments):
        if next(calls) == 4:
            raise KeyboardInterrupt
        append(*arguments)

    config = tiny_config()
    config.save_every = "1it"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "append_metrics", stop)
        with pytest.raises(KeyboardInterrupt):
            run.run(config, workdir)
    assert store.exists(paths.progress(paths.level(workdir, 0, 1)))
    return workdir


@pytest.fixture
def interrupted(stopped, tmp_path):
    """A copy of the stopped run, to go on with."""
    return shutil.copytree(stopped, tmp_path / "interrupted")


def test_an_interrupted_level_goes_on_to_the_same_bits(interrupted, finished, tiny_config):
    run.run(tiny_config(), interrupted)
    assert differences(finished, interrupted) == []


def test_damaged_progress_is_named_and_the_level_starts_again(stopped, interrupted, finished, tiny_config):
    progress = paths.progress(paths.level(interrupted, 0, 1))
    for damage in DAMAGES:
        damage(progress)
        said = refused(tiny_config(), interrupted)
        assert str(progress) in said
        assert "delete that folder" in said
        shutil.rmtree(progress)
        shutil.copytree(paths.progress(paths.level(stopped, 0, 1)), progress)
    shutil.rmtree(progress)
    run.run(tiny_config(), interrupted)
    assert differences(finished, interrupted) == []


def test_a_loss_that_is_no_number_names_its_step_and_is_never_saved(tiny_config, tmp_path):
    config = tiny_config()
    config.train.learning_rate, config.save_every = 1e20, "1it"
    said = refused(config, tmp_path)
    assert re.search(r"step \d+ of level 0", said)
    assert "lower train.learning_rate" in said
    level = paths.level(tmp_path, 0, 0)
    assert not paths.ticket(level).exists()
    saved = store.restore_progress(paths.progress(level))["state"]
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(saved))


@pytest.mark.parametrize("text", [None, "", '{"seeds": [0], "dat'])
def test_a_lost_config_is_asked_for_and_when_it_is_back_nothing_changes(text, workdir, finished, tiny_config, tmp_path):
    config = paths.config(workdir)
    config.unlink() if text is None else config.write_text(text)
    said = refused(tiny_config(), workdir)
    assert "config.json" in said
    assert "put" in said
    shutil.copy(paths.config(finished), config)
    run.run(tiny_config(), workdir)
    assert differences(finished, workdir) == []


@pytest.mark.parametrize(
    "record", [f"{LEVEL}/summary.json", f"{POOL}/summary.json", f"{LEVEL}/evaluation.json", f"{POOL}/evaluation.json"]
)
def test_a_record_cut_short_is_named_and_made_again(record, workdir, finished, tiny_config):
    path = workdir / record
    path.write_text(path.read_text()[:20])
    said = refused(tiny_config(), workdir)
    assert str(path) in said
    assert "delete it and run the same command again" in said
    path.unlink()
    run.run(tiny_config(), workdir)
    assert differences(finished, workdir) == []


def test_what_killed_processes_left_half_written_is_written_over(workdir, finished, tiny_config):
    for name in ("config.json", "results.csv", f"{LEVEL}/evaluation.json"):
        path = workdir / name
        path.with_name(f".{path.name}.new").write_text("{")
    paths.evaluation(workdir / LEVEL).unlink()
    config = tiny_config()
    config.pool.chunk = 2  # so that config.json is written
    run.run(config, workdir)
    assert json.loads(paths.config(workdir).read_text())["pool"]["chunk"] == 2
    assert not [path for path in workdir.rglob(".*.new") if path.name != ".lock"]
    shutil.copy(paths.config(finished), paths.config(workdir))
    assert differences(finished, workdir) == []


def test_a_work_directory_where_nothing_can_be_written_is_refused(tiny_config):
    assert "choose another" in refused(tiny_config(), paths.Path("/sys/lpjax"))
