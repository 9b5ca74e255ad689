"""What the command runs: the only loops, clocks and prints."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from lpjax import pools, store
from lpjax.run import progress
from lpjax.run.arms import arms
from lpjax.run.check import check
from lpjax.run.compilation import remember_compilations
from lpjax.run.config import FREE, GROWING, default_config, ensure_known, fields, resolve, with_new_names
from lpjax.run.corruptions import evaluate_corruptions, find_corruptions, gather_corruptions
from lpjax.run.evaluate import evaluate_seed, gather
from lpjax.run.imp import find_tickets
from lpjax.run.imported import check_source
from lpjax.run.job import Job, prepare
from lpjax.run.notice import Preempted, on_notice
from lpjax.run.pool import build_pools, searches
from lpjax.run.processes import Agreed, alone, ensure_alike, join, told
from lpjax.run.sparse import train_arms
from lpjax.run.superposed import ENSEMBLE, superpose_outputs, superpose_tickets, superpositions
from lpjax.store import paths

__all__ = [
    "Agreed",
    "Preempted",
    "check",
    "default_config",
    "ensure_known",
    "fields",
    "join",
    "on_notice",
    "remember_compilations",
    "run",
    "told",
    "write_results",
]


def run(config: ConfigDict, workdir: Path, command: str = "") -> Job:
    """Finds tickets, pools or superposes them and measures all, for every seed; what is done already is left alone.

    Args:
      config: As the user wrote it.
      workdir: Created on first use; refused if it holds another config.
      command: What was typed, if anything was: the report shows it word for word.

    Returns:
      What the run shared: network, data, compiled functions; more can be measured with it.

    Raises:
      ValueError: On a user's mistake, in one line.
    """
    told(lambda: check(config))
    resolved = resolve(config)
    ensure_alike(resolved, "config")
    job = prepare(ConfigDict(resolved))
    sparse_arms = arms(job) if config.sparse.method != "none" else []
    for seed in config.seeds if config.imp.tickets_from and not sparse_arms else ():
        check_source(job, workdir, seed)
    if config.corruptions.measure != "none":
        find_corruptions(job)  # refused now rather than after training
    methods = tuple(config.superpose.averages if sparse_arms else config.pool.methods)
    with alone(workdir):
        told(lambda: _claim(workdir, resolved, command))
        with progress.watch(workdir):
            for seed in config.seeds:
                if sparse_arms:
                    train_arms(job, workdir, seed, sparse_arms)
                    superpose_tickets(job, workdir, seed, superpositions(job))
                else:
                    find_tickets(job, workdir, seed)
                    build_pools(job, workdir, seed, searches(job))
                evaluate_seed(job, workdir, seed, methods)
                if sparse_arms and config.superpose.ensemble:
                    superpose_outputs(job, workdir, seed)
            write_results(workdir, job.levels)
            if config.corruptions.measure != "none":
                evaluate_corruptions(job, workdir, config.seeds, methods)
                write_results(workdir, job.levels)
    return job


def write_results(workdir: Path, levels: int) -> None:
    """Gathers all that was measured, in this call and in earlier ones, into `results.csv` and `corruptions.csv`.

    Args:
      workdir: Where it lies.
      levels: How many tickets a seed has.
    """
    told(lambda: _write_results(workdir, levels))


def _write_results(workdir: Path, levels: int) -> None:
    seeds, methods = store.read_json(paths.config(workdir))["seeds"], (*pools.METHODS, *pools.KINDS, ENSEMBLE)
    store.write_results(paths.results(workdir), gather(workdir, seeds, levels, methods))
    if corrupted := gather_corruptions(workdir, seeds, levels, methods):
        store.write_results(paths.corrupted_results(workdir), corrupted)


def _claim(workdir: Path, resolved: dict[str, Any], command: str) -> None:
    defaults = resolve(default_config())
    store.claim(workdir, resolved, growing=GROWING, free=FREE, defaults=defaults, translate=with_new_names)
    here = store.environment()
    if paths.environment(workdir).exists():
        _tell_moved(workdir, store.read_json(paths.environment(workdir)), here)
    else:
        store.write_json(paths.environment(workdir), here)
    if command:
        store.write_text(paths.command(workdir), command + "\n")


def _tell_moved(workdir: Path, there: Mapping[str, Any], here: Mapping[str, Any]) -> None:
    """Says once what rounds sums otherwise than where the run began."""
    names = [name for name in ("devices", "processes", "jax") if there.get(name, here[name]) != here[name]]
    if names:
        changes = "; ".join(f"{name} {_words(there[name])} there, {_words(here[name])} here" for name in names)
        print(f"lpjax: {workdir} was begun elsewhere ({changes}): numbers may differ in their last digits", flush=True)


def _words(value: Any) -> str:
    return ", ".join(f"{count} x {kind}" for kind, count in value.items()) if isinstance(value, dict) else str(value)
