"""The configuration: its defaults, its validation, and what identifies a run."""

import copy
from collections.abc import Iterator, Mapping
from typing import Any

import jax
from ml_collections import ConfigDict

from lpjax import data, store, tickets, train, transforms
from lpjax.choices import one_of
from lpjax.errors import UserError
from lpjax.run import hosts
from lpjax.run.settings import DENSE, SETTINGS

RENAMED = {
    "imp.rule": "imp.count_rule",
    "pool.newcomers": "pool.candidates",
    "pool.numbers": "pool.recalibration_batches",
    "sparse.thin_until": "sparse.prune_until",
}
"""Fields of lpjax 0.1 by their old names, with the new ones."""
_RENAMED_VALUES = {"pool.recalibration_batches": {"common": "shared"}}
_OLD_DEFAULTS = {"pool": {"rank_by": "recalibrated", "coarse_stride": 1}}
"""What a config means that was written before a field existed, where that is not today's default."""


def default_config() -> ConfigDict:
    """Return the base that every file in `configs/` changes: training as in the paper's CIFAR setting.

    The search of pools differs from the paper's: see `pool.rank_by` and `pool.coarse_stride`.

    Returns:
      A `ConfigDict` with all fields of docs/settings.md. Durations carry their unit (`'182ep'`, `'500it'`), densities
      and coefficients are fractions.

    Example:
      >>> default_config().imp.rewind
      '9ep'
    """
    config = ConfigDict()
    for field, setting in SETTINGS.items():
        section, _, name = field.rpartition(".")
        if section and section not in config:
            config[section] = ConfigDict()
        (config[section] if section else config)[name] = setting.default
    return config


def fields(config: ConfigDict, prefix: str = "") -> list[str]:
    """List all fields of a config by their dotted names."""
    names: list[str] = []
    for name, value in config.items():
        if isinstance(value, ConfigDict):
            names += fields(value, f"{prefix}{name}.")
        else:
            names.append(f"{prefix}{name}")
    return names


def get(config: ConfigDict, field: str) -> Any:
    """Return the value of a field by its dotted name."""
    value: Any = config
    for name in field.split("."):
        value = value[name]
    return value


def assert_known(field: str) -> None:
    """Raise `UserError` for a field that does not exist: with its new name, or the most similar one."""
    if field in RENAMED:
        raise UserError(f"the config field {field!r} is now {RENAMED[field]!r}; use that name")
    one_of("config field", field, sorted(SETTINGS))


def resolve(config: ConfigDict) -> ConfigDict:
    """Fill in what depends on the machine: the result identifies the work, whichever process asks."""
    resolved = config.copy_and_resolve_references()
    if resolved.dtype == "auto":
        resolved.dtype = "float32" if jax.default_backend() == "cpu" else "bfloat16"
    with resolved.unlocked():
        del resolved.distributed
    return resolved


def as_json(config: ConfigDict) -> dict[str, Any]:
    """Return plain values that JSON can hold; a model given as a callable is named by its import path."""
    plain = config.to_dict()
    if callable(plain["model"]):
        plain["model"] = f"{plain['model'].__module__}:{plain['model'].__qualname__}"
    return plain


def upgrade(config: Mapping[str, Any]) -> dict[str, Any]:
    """Translate a config that an older version wrote: what was renamed, and what it means by fields that it lacks.

    Example:
      >>> upgrade({'pool': {'newcomers': 3, 'numbers': 'common'}})['pool']
      {'rank_by': 'recalibrated', 'coarse_stride': 1, 'candidates': 3, 'recalibration_batches': 'shared'}
    """
    translated = copy.deepcopy(dict(config))
    for old, new in RENAMED.items():
        section, old_name = old.split(".")
        fields_there = translated.get(section)
        if isinstance(fields_there, dict) and old_name in fields_there:
            value = fields_there.pop(old_name)
            fields_there[new.split(".")[1]] = _RENAMED_VALUES.get(new, {}).get(value, value)
    searches = translated.get("sparse", {}).get("method", "none") == "none"  # sparse training ignores these settings
    for section, before in _OLD_DEFAULTS.items():
        if searches and isinstance(translated.get(section), dict):
            translated[section] = before | translated[section]
    return translated


def check(config: ConfigDict) -> None:
    """Refuse settings that cannot work, before anything is loaded.

    Args:
      config: As the user wrote it.

    Raises:
      UserError: In one line, all that is wrong: what was got, what was expected.
    """
    present = fields(config)
    for field in sorted(set(present) - set(SETTINGS)):
        assert_known(field)
    missing = sorted(set(SETTINGS) - set(present))
    if missing:
        raise UserError(f"the config lacks {missing[0]!r}; start from lpjax.run.default_config()")
    problems = []
    for field, setting in SETTINGS.items():
        problem = setting.problem(field, get(config, field))
        if problem:
            problems.append(problem)
    if not problems:  # relations hold between values that make sense by themselves
        relations = [_pools, _distributed]
        relations.append(_iterative_pruning if config.sparse.method == "none" else _sparse_training)
        if config.stream.size:
            relations.append(_stream)
        for relation in relations:
            problems += relation(config)
    if problems:
        raise UserError("; ".join(problems + _data_problems(config)))


def warnings(config: ConfigDict) -> list[str]:
    """List settings that are accepted but have no effect."""
    settings = config.train
    if settings.schedule != "step":
        return []
    late = [milestone for milestone in settings.milestones if _is_late(milestone, settings.duration)]
    if not late:
        return []
    warning = (
        f"train.milestones {', '.join(late)} are not before the end of training, {settings.duration!r}: the learning "
        "rate never falls there"
    )
    return [warning]


def _is_late(point: str, end: str) -> bool:
    """Tell whether a point is known to lie at the end or beyond; steps and epochs compare only once data are loaded."""
    return point[-2:] == end[-2:] and train.steps(point, 1) >= train.steps(end, 1)


def _iterative_pruning(config: ConfigDict) -> Iterator[str]:
    if _is_late(tickets.rewind_duration(config.imp.rewind), config.train.duration):
        yield (
            f"imp.rewind: got {config.imp.rewind!r}, expected a point before the end of training, "
            f"{config.train.duration!r}"
        )


def _sparse_training(config: ConfigDict) -> Iterator[str]:
    sparse = config.sparse
    superpose = config.superpose
    only = 1.0 if sparse.method == DENSE else transforms.METHODS[sparse.method].only_density
    if only and sparse.density != only:
        yield f"sparse.density: got {sparse.density}, expected {only} for sparse.method {sparse.method!r}"
    if superpose.low > superpose.high:
        yield f"superpose.low: got {superpose.low}, expected at most superpose.high, {superpose.high}"
    if not superpose.base and not superpose.share:
        yield "superpose.base is False and superpose.share is 0: nothing is left to train; change one of them"
    fixed = [name for name, method in transforms.METHODS.items() if keeps_its_mask(method)]
    if superpose.explore == "gradient" and sparse.method not in fixed:
        yield (
            f"superpose.explore: got 'gradient', which is for methods that keep their mask ({', '.join(fixed)}), "
            f"expected 'method' or 'none' for {sparse.method!r}"
        )
    if config.imp.tickets_from:
        yield "imp.tickets_from: got a folder, expected '' with sparse.method: it is for tickets of iterative pruning"


def _pools(config: ConfigDict) -> Iterator[str]:
    if "reference" not in config.pool.methods or config.sparse.method != "none":
        return
    if len(config.pool.start) != config.imp.levels:
        yield (
            f"pool.start: got {tuple(config.pool.start)}, expected the first value of each of the {config.imp.levels} "
            "anchors for the pool method 'reference'"
        )
    if len(config.seeds) > 1:
        yield f"seeds: got {tuple(config.seeds)}, expected one: the pool method 'reference' replays one log"


def _distributed(config: ConfigDict) -> Iterator[str]:
    try:
        hosts.parse_place(config.distributed)
    except UserError as error:
        yield str(error)
    if config.tensorboard:
        try:
            store.ensure_tensorboard()
        except UserError as error:
            yield str(error)


def _stream(config: ConfigDict) -> Iterator[str]:
    stream = config.stream
    if stream.resize < stream.size:
        yield f"stream.resize: got {stream.resize}, expected at least stream.size, {stream.size}"
    if config.train.steps_per_dispatch > 1:
        yield (
            f"train.steps_per_dispatch: got {config.train.steps_per_dispatch}, expected 1 with stream.size: images "
            "come one batch at a time"
        )
    if config.pool.recalibrate == "full":
        yield "pool.recalibrate: got 'full', expected a number of images with stream.size: all do not fit in memory"
    if "reference" in config.pool.methods:
        yield (
            "pool.methods: got 'reference', expected others with stream.size: it recalibrates on all training images "
            "in the order they are stored"
        )
    if config.corruptions.measure != "none":
        yield (
            f"corruptions.measure: got {config.corruptions.measure!r}, expected 'none' with stream.size: corruptions "
            "are of images of 32x32 in memory"
        )


def _data_problems(config: ConfigDict) -> list[str]:
    """Look for problems of the data too, once the run is refused anyway, so that all are told at once."""
    if config.stream.size:
        return []
    try:
        data.load(
            config.dataset, data_dir=config.data_dir, validation=config.validation, train_images=config.train_images
        )
    except (UserError, TypeError) as error:
        return [str(error)]
    return []


def keeps_its_mask(method: transforms.Method) -> bool:
    """Tell whether a method never changes a mask once it is there; it explores by gradient or not at all."""
    return method.changes == "never" or method.first_step_selects
