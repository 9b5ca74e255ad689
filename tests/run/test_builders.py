"""Every kind of stage asks after every unit whether to stop, and what it wrote until then is whole."""

import shutil
from types import SimpleNamespace

import pytest

from experiments.faults.compare import differences
from lpjax import run, store
from lpjax.run import preemption, settings, stage
from lpjax.run.connectivity import averaged_pairs_stage, ensembles_stage, linear_paths_stage, nearest_members
from lpjax.run.corruptions import corruptions_stage
from lpjax.run.evaluate import evaluation_stage
from lpjax.run.imported import imported_stage
from lpjax.run.pools import Search, pools_stage
from lpjax.run.stage import run_stage
from lpjax.run.superpose import superpose_stage
from lpjax.store import paths

pytestmark = pytest.mark.slow  # of a run; training, which saves itself first, is stopped in test_training.py

STAGES = {
    "imported tickets": lambda config, workdir: imported_stage(config, workdir, 1),
    "pools": lambda config, workdir: pools_stage(config, workdir, 0, {"again": Search("uniform")}),
    "averages": lambda config, workdir: superpose_stage(config, workdir, 0, 2, "cia"),
    "evaluation": lambda config, workdir: evaluation_stage(workdir, 0, range(3), ()),
    "corruptions": lambda config, workdir: corruptions_stage(config, workdir, (0,), range(3), ()),
    "averaged pairs": lambda config, workdir: averaged_pairs_stage(workdir, 0, 3),
    "linear paths": lambda config, workdir: linear_paths_stage(workdir, 0, 3),
    "ensembles": lambda config, workdir: ensembles_stage(workdir, 0, {"mean": "logits"}, nearest_members(range(3), 2)),
}


@pytest.fixture(scope="module")
def setup(finished, tiny_config, tmp_path_factory):
    """A prepared config, whose tickets are another run's: the finished one's, as those of seed 1."""
    source = tmp_path_factory.mktemp("source")
    shutil.copytree(finished / "seed_0", source / "seed_1")
    config = tiny_config(imp__tickets_from=str(source), corruptions__measure="all", corruptions__images=20)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(settings.CORRUPTIONS, "all", ("contrast",))
        yield run.prepare(run.resolve(config))


@pytest.fixture
def workdir(finished, tmp_path):
    """A run's tickets, of which nothing else is known."""

    def copy(name):
        for level in range(3):
            directory = paths.level(tmp_path / name, 0, level)
            shutil.copytree(paths.level(finished, 0, level), directory)
            paths.evaluation(directory).unlink()
        return tmp_path / name

    return copy


@pytest.mark.parametrize("kind", STAGES)
def test_a_stage_asks_after_every_unit_and_what_it_wrote_is_whole(kind, setup, workdir, monkeypatch):
    state = SimpleNamespace(asked=0, stop_at=0)

    def check():
        state.asked += 1
        if state.asked == state.stop_at:
            raise preemption.Preempted

    monkeypatch.setattr(stage, "check_preemption", check)
    whole, stopped = workdir("whole"), workdir("stopped")
    planned = STAGES[kind](setup.config, whole)
    units = planned.units(setup, planned.missing())
    run_stage(setup, planned)
    assert state.asked >= units >= 2
    for after in (1, state.asked // 2):  # the second start may have less to do
        state.asked, state.stop_at = 0, after
        planned = STAGES[kind](setup.config, stopped)
        with pytest.raises(preemption.Preempted):
            run_stage(setup, planned)
        missing = planned.missing()
        for name, directory in planned.outputs.items():
            if name not in missing and store.exists(paths.ticket(directory)):
                store.restore_ticket(paths.ticket(directory))  # which checks its seal
    state.stop_at = 0
    run_stage(setup, STAGES[kind](setup.config, stopped))
    assert differences(whole, stopped) == []
