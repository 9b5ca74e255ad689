"""What the command runs: loops, clocks and prints.

Read `plan.py` first: the papers' protocols as lists of stages. `stage.py` runs a stage: what is missing, progress,
preemption, the order of writing. The builders compute: `imp.py`, `imported.py`, `pools.py`, `sparse.py` (with
`schedule.py`), `superpose.py`, `evaluate.py`, `corruptions.py`, `connectivity.py`; `training.py` is the one training
loop, and `saved.py` reads networks back. A config becomes data and network in `setup.py` and `images.py`;
`settings.py` describes every setting, `config.py` checks them. `hosts.py` and `preemption.py` are about several
processes and about being stopped.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from lpjax import store
from lpjax.pools import KINDS, METHODS
from lpjax.run.config import as_json, check, default_config, resolve, upgrade, warnings
from lpjax.run.corruptions import gather_corruptions
from lpjax.run.evaluate import gather
from lpjax.run.export import export, import_file
from lpjax.run.hosts import (
    assert_equal_across_processes,
    broadcast_from_process0,
    exclusive_workdir,
    join,
)
from lpjax.run.load import load
from lpjax.run.plan import describe, levels_of, plan
from lpjax.run.preemption import Preempted, handle_preemption
from lpjax.run.settings import SETTINGS
from lpjax.run.setup import Setup, prepare
from lpjax.run.stage import Stage, log_to, logger, run_stage
from lpjax.run.superpose import ENSEMBLE
from lpjax.store import paths

__all__ = [
    "Preempted",
    "check",
    "default_config",
    "export",
    "handle_preemption",
    "import_file",
    "join",
    "load",
    "run",
    "run_stages",
    "show_plan",
]


def run(config: ConfigDict, workdir: Path, command: str = "") -> Setup:
    """Find tickets, pool or superpose them, and evaluate all, for every seed; what is done already is left alone.

    Args:
      config: As the user wrote it.
      workdir: Created on first use; refused if it holds another config.
      command: What was typed, if anything was: the report shows it word for word.

    Returns:
      What the run shared: network, data, compiled functions; more can be measured with it.

    Raises:
      UserError: What a user can mend, in one line.
      StorageError: If the disk refuses.
      Preempted: If the machine is taken away; what was done is saved.
    """
    resolved = _resolved(config)
    setup = prepare(resolved)
    stages = plan(setup.config, workdir, setup.steps)
    for stage in stages:
        stage.check(setup)
    with exclusive_workdir(workdir):
        broadcast_from_process0(lambda: _bind_or_refuse(workdir, as_json(resolved), command))
        with log_to(workdir):
            for warning in warnings(setup.config):
                logger.info("lpjax: warning: %s", warning)
            _run(setup, workdir, stages)
    return setup


def run_stages(setup: Setup, workdir: Path, stages: Sequence[Stage]) -> None:
    """Run further stages in the work directory of a run, and gather all results there again.

    Args:
      setup: From `run`.
      workdir: Of the same run.
      stages: In their order.

    Raises:
      UserError: What a user can mend, in one line.
    """
    for stage in stages:
        stage.check(setup)
    with exclusive_workdir(workdir), log_to(workdir):
        _run(setup, workdir, stages)


def show_plan(config: ConfigDict, workdir: Path) -> str:
    """List the stages of a config with what is done and what is missing, without computing or writing anything.

    Args:
      config: As the user wrote it.
      workdir: Where a run is, or will be.

    Returns:
      One line per stage.

    Raises:
      UserError: If the config cannot be run.
    """
    setup = prepare(_resolved(config))
    return describe(plan(setup.config, workdir, setup.steps))


def _run(setup: Setup, workdir: Path, stages: Sequence[Stage]) -> None:
    for stage in stages:
        if stage.results_first:
            write_results(setup, workdir)
        run_stage(setup, stage)
    write_results(setup, workdir)


def write_results(setup: Setup, workdir: Path) -> None:
    """Gather all that was evaluated, by this call and earlier ones, into `results.csv` and `corruptions.csv`."""
    levels = levels_of(setup.config, setup.steps)
    methods = (*METHODS, *KINDS, ENSEMBLE)

    def write() -> None:
        seeds = store.read_json(paths.config(workdir))["seeds"]
        store.write_results(paths.results(workdir), gather(workdir, seeds, levels, methods))
        corrupted = gather_corruptions(workdir, seeds, levels, methods)
        if corrupted:
            store.write_results(paths.corrupted_results(workdir), corrupted)

    broadcast_from_process0(write)


def _resolved(config: ConfigDict) -> ConfigDict:
    """Check and resolve a config, the same in all processes."""
    broadcast_from_process0(lambda: check(config))
    resolved = resolve(config)
    assert_equal_across_processes(as_json(resolved), "config")
    return resolved


def _bind_or_refuse(workdir: Path, resolved: dict[str, Any], command: str) -> None:
    """Bind a work directory to a config, or refuse it; record versions and the command."""
    grows = [field for field, setting in SETTINGS.items() if setting.use == "grows"]
    free = [field for field, setting in SETTINGS.items() if setting.use == "free"]
    defaults = as_json(resolve(default_config()))
    store.bind_config(workdir, resolved, growing=grows, free=free, defaults=defaults, translate=upgrade)
    here = store.environment()
    if paths.environment(workdir).exists():
        _report_move(workdir, store.read_json(paths.environment(workdir)), here)
    else:
        store.write_json(paths.environment(workdir), here)
    if command:
        store.write_text(paths.command(workdir), command + "\n")


def _report_move(workdir: Path, before: dict[str, Any], here: dict[str, Any]) -> None:
    """Say if devices, processes or JAX are others than where the run began: sums may be rounded differently."""
    changes = []
    for name in ("devices", "processes", "jax"):
        if before.get(name, here[name]) != here[name]:
            changes.append(f"{name} {_shown(before[name])} there, {_shown(here[name])} here")
    if changes:
        message = (
            f"lpjax: {workdir} was begun elsewhere ({'; '.join(changes)}): numbers may differ in their last digits"
        )
        print(message, flush=True)


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{count} x {kind}" for kind, count in value.items())
    return str(value)
