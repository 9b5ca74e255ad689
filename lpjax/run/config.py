"""The configuration: every field with its default, and what is refused before any work begins."""

import re
from typing import Any

import jax
from ml_collections import ConfigDict

from lpjax import models, pools, tickets, train
from lpjax.choices import one_of


def default_config() -> ConfigDict:
    """Returns the paper's CIFAR setting: the base that every file in `configs/` changes.

    Returns:
      A `ConfigDict` with all fields there are. Durations carry their unit (`'182ep'`, `'500it'`), densities and
      coefficients are fractions.

    Example:
      >>> default_config().imp.rewind
      '9ep'
    """
    return ConfigDict(
        {
            "seeds": (0,),  # one replicate each
            "dataset": "cifar10",  # 'digits', 'cifar10', 'cifar100', or any image-classification set of TFDS
            "data_dir": "",  # where TFDS directories lie; empty for TFDS's own default
            "validation": 5000,  # images held out at the end of the training split
            "train_images": 0,  # the first so many of the others; 0 for all
            "augment": {"crop": 4, "flip": True},  # pixels of padding; mirror images
            "model": "resnet18",
            "width": 0,  # channels of the first stage; 0 for the architecture's own
            "dtype": "auto",  # 'float32', 'bfloat16', or 'auto': bfloat16 except on CPU
            "eval_batch_size": 500,
            "train": {
                "duration": "182ep",
                "batch_size": 128,
                "learning_rate": 0.1,
                "schedule": "step",  # 'step', 'cosine', 'constant'
                "milestones": ("91ep", "136ep"),  # where 'step' multiplies by decay
                "decay": 0.1,
                "warmup": "0ep",
                "momentum": 0.9,
                "weight_decay": 1e-4,
                "label_smoothing": 0.0,
                "steps_per_dispatch": 1,  # more only pays on GPU and TPU
            },
            "imp": {
                "levels": 19,  # tickets, the dense level 0 included
                "prune_fraction": 0.2,  # of the kept weights, per level
                "rewind": "9ep",  # a duration, or 'final': learning-rate rewinding
                "prunable": "convolutions",  # 'convolutions', 'kernels', or 'path:REGEX'
                "scope": "global",  # 'global', 'layerwise'
                "score": "magnitude",  # 'magnitude', 'random'
                "rule": "torch",  # 'torch', 'openlth'
                "ticket": "best",  # 'best' on validation, or the 'last' weights
                "mask_from": "last",  # 'last' weights, or the 'ticket'
                "dense": "whole",  # level 0 in one run, or 'rewound': it too starts at the rewind point (OpenLTH)
                "tickets_from": "",  # a folder of tickets found elsewhere; empty to train them
            },
            "pool": {
                "methods": pools.STANDARD,
                "coefficients": pools.INTERPOLATION,  # weights of the newcomer, for 'interpolation'
                "newcomers": 0,  # the nearest so many; 0 for all
                "accept": ">=",  # of 'interpolation' and 'average': '>=' (paper), '>' (its code)
                "prune": "during",  # of 'interpolation' and 'average': 'during', 'after'
                "recalibrate": "4096",  # training images for BatchNorm's statistics, or 'full'
                "numbers": "common",  # 'common': one draw of images an anchor; 'fresh': one a candidate
                "chunk": 1,  # candidates evaluated at once; 1 is a loop
                "start": (),  # of 'reference': the anchors' first values, one a level, as the original's log has them
            },
            "corruptions": {  # robustness of tickets and pools, on test images
                "measure": "none",  # 'none', the 'benchmark' of 15, or 'all' 19
                "dir": "",  # published .npy files; empty for TFDS's where it lies prepared, else made here
                "images": 0,  # the first so many test images; 0 for all
            },
        }
    )


def resolve(config: ConfigDict) -> dict[str, Any]:
    """Fills in what depends on the machine and returns plain values.

    Args:
      config: As the user wrote it.

    Returns:
      A dictionary that JSON can hold; it identifies the work.
    """
    plain = config.to_dict()
    if plain["dtype"] == "auto":
        plain["dtype"] = "float32" if jax.default_backend() == "cpu" else "bfloat16"
    return plain


GROWING = ("seeds", "pool.methods")
"""Fields that may differ from call to call: more replicates and methods join a work directory."""
FREE = (
    "data_dir",
    "eval_batch_size",
    "pool.chunk",
    "train.steps_per_dispatch",
    "corruptions.dir",
    "corruptions.measure",
)
"""Fields that change no ticket: where data lie, how fast."""


def check(config: ConfigDict) -> None:
    """Refuses settings that cannot work, before anything is loaded.

    Args:
      config: As the user wrote it.

    Raises:
      ValueError: In one line: what was got, what was wanted.
    """
    known, given = set(fields(default_config())), set(fields(config))
    for field in sorted(given - known):
        one_of("config field", field, sorted(known))
    if missing := sorted(known - given):
        raise ValueError(f"the config lacks {missing[0]!r}; start from lpjax.run.default_config()")
    one_of("model", config.model, models.NAMES)
    one_of("dtype", config.dtype, ("auto", "float32", "bfloat16"))
    one_of("train.schedule", config.train.schedule, train.SCHEDULES)
    one_of("imp.scope", config.imp.scope, tickets.SCOPES)
    one_of("imp.score", config.imp.score, tickets.SCORES)
    one_of("imp.rule", config.imp.rule, tickets.RULES)
    one_of("imp.ticket", config.imp.ticket, ("best", "last"))
    one_of("imp.mask_from", config.imp.mask_from, ("last", "ticket"))
    one_of("imp.dense", config.imp.dense, ("whole", "rewound"))
    one_of("pool.accept", config.pool.accept, pools.ACCEPT)
    one_of("pool.prune", config.pool.prune, pools.PRUNE)
    one_of("pool.numbers", config.pool.numbers, ("common", "fresh"))
    one_of("corruptions.measure", config.corruptions.measure, ("none", "benchmark", "all"))
    for method in config.pool.methods:
        one_of("pool method", method, pools.METHODS)
    if len(set(config.pool.methods)) < len(config.pool.methods):
        raise ValueError(f"pool.methods names one twice: {', '.join(config.pool.methods)}")
    if config.imp.prunable not in ("convolutions", "kernels") and not config.imp.prunable.startswith("path:"):
        raise ValueError(f"imp.prunable is {config.imp.prunable!r}; give 'convolutions', 'kernels' or 'path:REGEX'")
    try:
        re.compile(config.imp.prunable)
    except re.error as error:
        raise ValueError(f"imp.prunable is {config.imp.prunable!r}, no regular expression: {error}") from error
    budget = config.pool.recalibrate
    if budget != "full" and not (budget.isdigit() and int(budget)):
        raise ValueError(f"pool.recalibrate is {config.pool.recalibrate!r}; give a number of images, or 'full'")
    seeds = config.seeds
    whole = all(isinstance(seed, int) and 0 <= seed < 2**32 for seed in seeds)
    if not seeds or not whole or len(set(seeds)) < len(seeds):
        raise ValueError(f"seeds are {tuple(config.seeds)}; give one or more different integers from 0 on")
    _ranges(config)
    _durations(config)


def _ranges(config: ConfigDict) -> None:
    at_least = {
        "imp.levels": 1,
        "train.batch_size": 1,
        "train.steps_per_dispatch": 1,
        "pool.chunk": 1,
        "eval_batch_size": 1,
        "pool.newcomers": 0,
        "validation": 1,
        "train_images": 0,
        "augment.crop": 0,
        "corruptions.images": 0,
        "width": 0,
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
    if "reference" in config.pool.methods and len(config.pool.start) != config.imp.levels:
        raise ValueError(
            f"pool.start has {len(config.pool.start)} values; the method 'reference' needs the first value of each of "
            f"the {config.imp.levels} anchors, as fractions"
        )
    if not config.pool.coefficients:
        raise ValueError("pool.coefficients is empty; give one or more in [0, 1]")
    if config.width % 2:
        raise ValueError(f"width is {config.width}; give an even number of channels")
    for c in config.pool.coefficients:
        if not isinstance(c, int | float) or not 0 <= c <= 1:
            raise ValueError(f"pool.coefficients holds {c}; give weights of the newcomer in [0, 1]")


def _durations(config: ConfigDict) -> None:
    durations = (config.train.duration, config.train.warmup, *config.train.milestones)
    for duration in (*durations, tickets.rewind_duration(config.imp.rewind)):
        train.steps(duration, 1)
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
            f"imp.rewind {config.imp.rewind!r} is step {point}, beyond training: train.duration "
            f"{config.train.duration!r} ends at step {end}; rewind to an earlier point"
        )


def fields(config: ConfigDict, prefix: str = "") -> list[str]:
    """Lists all fields.

    Args:
      config: A configuration.
      prefix: Put before every name.

    Returns:
      Dotted names.
    """
    names: list[str] = []
    for name, value in config.items():
        names += fields(value, f"{prefix}{name}.") if isinstance(value, ConfigDict) else [f"{prefix}{name}"]
    return names


def _get(config: ConfigDict, field: str) -> Any:
    value: Any = config
    for name in field.split("."):
        value = value[name]
    return value
