"""What is refused before any work begins."""

import re
from typing import Any

from ml_collections import ConfigDict

from lpjax import data, models, pools, store, tickets, train
from lpjax.choices import one_of
from lpjax.run.check_sparse import check_sparse
from lpjax.run.check_stream import check_stream
from lpjax.run.config import default_config, ensure_known, fields
from lpjax.run.processes import place


def check(config: ConfigDict) -> None:
    """Refuses settings that cannot work, before anything is loaded.

    Args:
      config: As the user wrote it.

    Raises:
      ValueError: In one line: what was got, what was wanted.
    """
    known, given = set(fields(default_config())), set(fields(config))
    for field in sorted(given - known):
        ensure_known(field)
    if missing := sorted(known - given):
        raise ValueError(f"the config lacks {missing[0]!r}; start from lpjax.run.default_config()")
    one_of("augment.pad", config.augment.pad, data.PADS)
    one_of("model", config.model, models.NAMES)
    one_of("dtype", config.dtype, ("auto", "float32", "bfloat16"))
    one_of("train.schedule", config.train.schedule, train.SCHEDULES)
    one_of("imp.scope", config.imp.scope, tickets.SCOPES)
    one_of("imp.score", config.imp.score, ("magnitude", "random"))
    one_of("imp.count_rule", config.imp.count_rule, tickets.RULES)
    one_of("imp.ticket", config.imp.ticket, ("best", "last"))
    one_of("imp.mask_from", config.imp.mask_from, ("last", "ticket"))
    one_of("imp.dense", config.imp.dense, ("whole", "rewound"))
    one_of("pool.accept", config.pool.accept, pools.ACCEPT)
    one_of("pool.prune", config.pool.prune, pools.PRUNE)
    one_of("pool.spread", config.pool.spread, ("auto", "grid", "images"))
    one_of("pool.recalibration_batches", config.pool.recalibration_batches, pools.RECALIBRATION_BATCHES)
    one_of("corruptions.measure", config.corruptions.measure, ("none", "benchmark", "all"))
    for method in config.pool.methods:
        one_of("pool method", method, pools.METHODS)
    if len(set(config.pool.methods)) < len(config.pool.methods):
        raise ValueError(f"pool.methods names one twice: {', '.join(config.pool.methods)}")
    for field in ("imp.prunable", "sparse.prunable"):
        _prunable(field, _get(config, field))
    place(config.distributed)
    budget = config.pool.recalibrate
    if budget != "full" and not (budget.isdigit() and int(budget)):
        raise ValueError(f"pool.recalibrate is {config.pool.recalibrate!r}; give a number of images, or 'full'")
    seeds = config.seeds
    whole = all(isinstance(seed, int) and 0 <= seed < 2**32 for seed in seeds)
    if not seeds or not whole or len(set(seeds)) < len(seeds):
        raise ValueError(f"seeds are {tuple(config.seeds)}; give one or more different integers from 0 on")
    _ranges(config)
    _durations(config)
    if config.stream.size:
        check_stream(config)
    if config.tensorboard:
        store.ensure_tensorboard()
    if config.sparse.method != "none":
        check_sparse(config)
    if "reference" in config.pool.methods:
        _start(config)


def _prunable(field: str, name: str) -> None:
    if name not in ("convolutions", "kernels") and not name.startswith("path:"):
        raise ValueError(f"{field} is {name!r}; give 'convolutions', 'kernels' or 'path:REGEX'")
    try:
        re.compile(name)
    except re.error as error:
        raise ValueError(f"{field} is {name!r}, no regular expression: {error}") from error


def _ranges(config: ConfigDict) -> None:
    at_least = {
        "imp.levels": 1,
        "train.batch_size": 1,
        "train.steps_per_dispatch": 1,
        "pool.chunk": 1,
        "eval_batch_size": 1,
        "pool.candidates": 0,
        "validation": 1,
        "train_images": 0,
        "augment.crop": 0,
        "corruptions.images": 0,
        "width": 0,
        "stream.size": 0,
        "stream.workers": 0,
        "stream.prefetch": 1,
        "train.weight_decay": 0,
    }
    for field, low in at_least.items():
        if (value := _get(config, field)) < low:
            raise ValueError(f"{field} is {value}; give {low} or more")
    for field in ("train.momentum", "train.label_smoothing"):
        if not 0 <= (value := _get(config, field)) < 1:
            raise ValueError(f"{field} is {value}; give a fraction in [0, 1)")
    if not 0 < config.imp.prune_fraction < 1:
        raise ValueError(f"imp.prune_fraction is {config.imp.prune_fraction}; give a fraction in (0, 1)")
    if config.train.learning_rate <= 0:
        raise ValueError(f"train.learning_rate is {config.train.learning_rate}; give a number above 0")
    if not config.pool.coefficients:
        raise ValueError("pool.coefficients is empty; give one or more in [0, 1]")
    if config.width % 2:
        raise ValueError(f"width is {config.width}; give an even number of channels")
    for c in config.pool.coefficients:
        if not isinstance(c, int | float) or not 0 <= c <= 1:
            raise ValueError(f"pool.coefficients holds {c}; give weights of the candidate in [0, 1]")


def _start(config: ConfigDict) -> None:
    start, levels = tuple(config.pool.start), config.imp.levels
    if len(start) != levels or not all(isinstance(value, int | float) and 0 <= value <= 1 for value in start):
        raise ValueError(
            f"pool.start is {start}; 'reference' needs the first value of each of the {levels} anchors, in [0, 1]"
        )
    if len(config.seeds) > 1:
        raise ValueError(f"'reference' replays one log, but there are {len(config.seeds)} seeds; give one")


def _durations(config: ConfigDict) -> None:
    durations = (config.train.duration, config.train.warmup, *config.train.milestones)
    for duration in (*durations, tickets.rewind_duration(config.imp.rewind)):
        train.steps(duration, 1)
    if train.steps(config.save_every, 1) < 1:
        raise ValueError(f"save_every is {config.save_every!r}; give a step ('1it') or more")
    if train.steps(config.train.duration, 1) < 1:
        raise ValueError(f"train.duration is {config.train.duration!r}; give one epoch ('1ep') or more")


def check_rewind(config: ConfigDict, steps_per_epoch: int) -> None:
    """Refuses a rewind point that training never reaches.

    Args:
      config: As the user wrote it.
      steps_per_epoch: Batches in one pass over the training images.

    Raises:
      ValueError: If the rewind point is not before the end of training.
    """
    point = train.steps(tickets.rewind_duration(config.imp.rewind), steps_per_epoch)
    end = train.steps(config.train.duration, steps_per_epoch)
    if point >= end:
        raise ValueError(
            f"imp.rewind {config.imp.rewind!r} is step {point}, not before the end of training: train.duration "
            f"{config.train.duration!r} ends at step {end}; rewind to an earlier point"
        )


def _get(config: ConfigDict, field: str) -> Any:
    value: Any = config
    for name in field.split("."):
        value = value[name]
    return value
