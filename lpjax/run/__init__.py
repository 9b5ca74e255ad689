"""What the command runs: the only loops, clocks and prints."""

from pathlib import Path

from ml_collections import ConfigDict

from lpjax import pools, store
from lpjax.run.compilation import remember_compilations
from lpjax.run.config import FREE, GROWING, check, default_config, fields, resolve
from lpjax.run.corruptions import collect_corruptions, evaluate_corruptions
from lpjax.run.evaluate import evaluate_seed, gather
from lpjax.run.imp import find_tickets
from lpjax.run.imported import check_source
from lpjax.run.job import Job, prepare
from lpjax.run.pool import build_pools, searches
from lpjax.store import paths

__all__ = ["check", "default_config", "fields", "remember_compilations", "run"]


def run(config: ConfigDict, workdir: Path) -> Job:
    """Finds tickets, builds pools and measures both, for every seed; what is done already is left alone.

    Args:
      config: As the user wrote it.
      workdir: Created on first use; refused if it holds another config.

    Returns:
      What the run shared: network, data, compiled functions; more can be measured with it.

    Raises:
      ValueError: On a user's mistake, in one line.
    """
    check(config)
    resolved = resolve(config)
    job = prepare(ConfigDict(resolved))
    for seed in config.seeds if config.imp.tickets_from else ():
        check_source(job, workdir, seed)
    store.claim(workdir, resolved, growing=GROWING, free=FREE)
    if not paths.environment(workdir).exists():
        store.write_json(paths.environment(workdir), store.environment())
    for seed in config.seeds:
        find_tickets(job, workdir, seed)
        build_pools(job, workdir, seed, searches(job))
        evaluate_seed(job, workdir, seed, config.pool.methods)
    evaluate_corruptions(job, workdir, config.seeds, config.pool.methods)
    seeds = store.read_json(paths.config(workdir))["seeds"]
    collect_corruptions(job, workdir, seeds, tuple(pools.METHODS))
    store.write_results(paths.results(workdir), gather(workdir, seeds, config.imp.levels, tuple(pools.METHODS)))
    return job
