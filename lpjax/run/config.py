"""The configuration: every field with its default."""

import copy
from collections.abc import Mapping
from typing import Any

import jax
from ml_collections import ConfigDict

from lpjax import pools
from lpjax.choices import one_of

RENAMED = {
    "imp.rule": "imp.count_rule",
    "pool.newcomers": "pool.candidates",
    "pool.numbers": "pool.recalibration_batches",
    "sparse.thin_until": "sparse.prune_until",
}
"""Fields of lpjax 0.1 by their old names, with the new ones."""
_RENAMED_VALUES = {"pool.recalibration_batches": {"common": "shared"}}


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
            "augment": {
                "crop": 4,  # pixels of padding
                "pad": "zero",  # 'zero', 'reflect'
                "flip": True,  # mirror images
            },
            "model": "resnet18",
            "width": 0,  # channels of the first stage; 0 for the architecture's own
            "dtype": "auto",  # 'float32', 'bfloat16', or 'auto': bfloat16 except on CPU
            "eval_batch_size": 500,
            "save_every": "1000it",  # between saves of training's progress; a duration
            "tensorboard": False,  # event files too, beside every metrics.jsonl
            "distributed": "auto",  # one process a host: found on TPU VMs, SLURM, MPI; 'none'; 'HOST:PORT,COUNT,INDEX'
            "stream": {  # images that do not fit in memory, or of many sizes: read while training
                "size": 0,  # pixels to cut them to; 0: all are of one size, and held in memory
                "resize": 256,  # pixels of the shorter side, before the center is cut out for validation and test
                "area": (0.1, 1.0),  # share of a training image that is cut out, at random
                "ratio": (0.8, 1.25),  # its width by its height
                "workers": 0,  # processes a host that decode, started anew every epoch (5 to 20 s); 0: threads
                "prefetch": 2,  # batches read ahead
            },
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
                "count_rule": "torch",  # how many weights a level keeps: 'torch', 'openlth'
                "ticket": "best",  # 'best' on validation, or the 'last' weights
                "mask_from": "last",  # 'last' weights, or the 'ticket'
                "dense": "whole",  # level 0 in one run, or 'rewound': it too starts at the rewind point (OpenLTH)
                "tickets_from": "",  # a folder of tickets found elsewhere, instead of training; empty to train
            },
            "sparse": {  # sparse training from the start instead: a base network and Sup-tickets a seed
                "method": "none",  # 'none': tickets by iterative pruning; 'dense'; or a name of transforms.METHODS
                "density": 0.05,  # at the end, of the prunable weights
                "every": "1000it",  # between changes of the mask
                "until": 1.0,  # share of ordinary training (of a base network: of all) in which masks change
                "drop_fraction": 0.5,  # of the kept weights, at every change
                "drop_schedule": "constant",  # or 'cosine': down to 0 where masks no longer change
                "initial_density": 0.5,  # of 'granet'
                "prune_until": "110ep",  # when 'granet', 'gmp' and '2:4' reach the final density
                "allocate": "erk",  # how methods that change masks share weights among layers: 'erk', 'uniform'
                "prunable": "kernels",  # 'convolutions', 'kernels', or 'path:REGEX'
            },
            "superpose": {
                "averages": ("cia",),  # what is made of the cheap tickets: 'cia', 'caa', 'cima'
                "share": 0.1,  # of training, that cycles may take; 0 for a base network alone
                "cycle": "8ep",
                "low": 0.001,  # learning rates of a cycle
                "high": 0.005,
                "shape": "triangle",  # 'triangle', 'fge', 'swa'
                "explore": "method",  # as the method does, 'gradient' where masks else stay, or 'none'
                "drop_fraction": 0.5,  # of the kept weights, once at the start of every cycle
                "decay": 0.8,  # of 'cima': the weight of the average so far
                "prune": "step",  # after every ticket, or at the 'end'
                "scope": "global",  # 'global', 'layerwise'
                "stats": "average",  # or 'recalibrate': on training images, as many as pool.recalibrate says
                "first": "cycle",  # the first ticket averaged; 'phase': the weights before the first cycle too
                "base": True,  # train the base network too
                "ensemble": False,  # measure the tickets' output ensemble too
            },
            "pool": {
                "methods": pools.STANDARD,
                "coefficients": pools.INTERPOLATION,  # weights of the candidate, for 'interpolation'
                "candidates": 0,  # the nearest so many; 0 for all
                "accept": ">=",  # of 'interpolation' and 'average': '>=' (paper), '>' (its code)
                "prune": "during",  # of 'interpolation' and 'average': 'during', 'after'
                "recalibrate": "4096",  # training images for BatchNorm's statistics, or 'full'
                "recalibration_batches": "shared",  # one draw of images an anchor; 'fresh': one a candidate
                "chunk": 1,  # mixes evaluated at once; 1 is a loop
                "spread": "auto",  # over devices: the 'grid' of mixes, the 'images', or what suits their number
                "start": (),  # of 'reference': the anchors' first values, one a level, from the original's log
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
      A dictionary that JSON can hold; it identifies the work, whichever process asks.
    """
    plain = config.to_dict()
    plain.pop("distributed", None)
    if plain["dtype"] == "auto":
        plain["dtype"] = "float32" if jax.default_backend() == "cpu" else "bfloat16"
    return plain


GROWING = ("seeds", "pool.methods", "superpose.averages")
"""Fields that may differ from call to call: more replicates and methods join a work directory."""
FREE = (
    "data_dir",
    "distributed",
    "eval_batch_size",
    "save_every",
    "stream.prefetch",
    "stream.workers",
    "tensorboard",
    "pool.chunk",
    "pool.start",
    "pool.spread",
    "train.steps_per_dispatch",
    "corruptions.dir",
    "corruptions.measure",
    "superpose.base",
    "superpose.ensemble",
)
"""Fields that change nothing but the order of floating-point sums: where data lie, how fast, what else is made."""


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


def with_new_names(config: Mapping[str, Any]) -> dict[str, Any]:
    """Translates a config that an older version wrote.

    Args:
      config: Nested dictionaries, as config.json has them.

    Returns:
      A copy, with the fields of `RENAMED` under their new names. Values that were renamed too are translated.

    Example:
      >>> with_new_names({'pool': {'newcomers': 3, 'numbers': 'common'}})
      {'pool': {'candidates': 3, 'recalibration_batches': 'shared'}}
    """
    translated = copy.deepcopy(dict(config))
    for old, new in RENAMED.items():
        section, old_name = old.split(".")
        fields_there = translated.get(section)
        if isinstance(fields_there, dict) and old_name in fields_there:
            value = fields_there.pop(old_name)
            fields_there[new.split(".")[1]] = _RENAMED_VALUES.get(new, {}).get(value, value)
    return translated


def ensure_known(field: str) -> None:
    """Refuses a field that does not exist.

    Args:
      field: Its dotted name.

    Raises:
      ValueError: If it does not exist: with the new name, if it was renamed, else with the most similar name.
    """
    if field in RENAMED:
        raise ValueError(f"the config field {field!r} is now {RENAMED[field]!r}; use that name")
    one_of("config field", field, sorted(fields(default_config())))
