"""What a work directory says of one of its tickets or pools: how it was found, from what, and how good it is."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lpjax import metrics, store
from lpjax.interop.destination import RECORD
from lpjax.pools import KINDS, METHODS
from lpjax.store import paths
from lpjax.tickets import rewinds_weights
from lpjax.version import __version__

TICKET = "ticket"


class Accepted(NamedTuple):
    """A candidate that went into a pool: the mix became `(1 - coefficient) * mix + coefficient * candidate`."""

    seed: int
    level: int
    coefficient: float


class Accuracy(NamedTuple):
    """Accuracy on one split, of this network and of those of all seeds found in the same way.

    Attributes:
      split: `'validation'` or `'test'`.
      value: Of this network, a fraction; None where it was not measured.
      n: Seeds.
      mean: Over seeds.
      low: Lower end of Student's 95 % interval of the mean over seeds; NaN for one seed.
      high: Its upper end.
    """

    split: str
    value: float | None
    n: int
    mean: float
    low: float
    high: float


class Origin(NamedTuple):
    """Where a ticket comes from. What is not known is empty.

    Attributes:
      place: Its seed, level and pool; None for a directory that lies in no work directory.
      config: The resolved configuration of the run; of imported tickets, their record.
      environment: Versions and devices of the run.
      command: The command of the run.
      summary: Of the level or pool; of a ticket that was imported, its `provenance` is what the file said.
      steps: The candidates that were accepted, in their order.
      accuracies: Per split.
    """

    place: paths.Place | None
    config: dict[str, Any]
    environment: dict[str, Any]
    command: str
    summary: dict[str, Any]
    steps: tuple[Accepted, ...]
    accuracies: tuple[Accuracy, ...]

    @property
    def method(self) -> str:
        """`'ticket'`, or the name of the pool, also of one that was imported as a level."""
        if self.place and self.place.pool:
            return self.place.pool
        return self._imported.get("method", TICKET)

    @property
    def anchor(self) -> tuple[int, int] | None:
        """Seed and level of a ticket, of a pool those of its anchor, where it was found; None if they are not known."""
        if "anchor" in self._imported:
            return self._imported["anchor"]["seed"], self._imported["anchor"]["level"]
        return (self.place.seed, self.place.level) if self.place else None

    @property
    def _imported(self) -> dict[str, Any]:
        return self.summary.get("provenance", {})

    @property
    def dataset(self) -> str:
        """The data set of the run."""
        return self.config.get("dataset") or ""


def recorded_config(directory: Path) -> dict[str, Any]:
    """Read the configuration of the run that a level or pool is part of; of imported tickets, their record.

    Args:
      directory: The level's or the pool's.

    Returns:
      Its fields; none where nothing is recorded.
    """
    place = paths.parse(directory)
    if place is None:
        return {}
    return store.read_json_or_empty(paths.config(place.workdir)) or store.read_json_or_empty(place.workdir / RECORD)


def origin_of(directory: Path) -> Origin:
    """Read what is known of the ticket of a level or pool.

    Args:
      directory: The level's or the pool's.

    Returns:
      What was found.
    """
    summary = store.read_json_or_empty(paths.summary(directory))
    place = paths.parse(directory)
    if place is None:
        return Origin(None, {}, {}, "", summary, (), ())
    workdir = place.workdir
    trials = store.read_trials(paths.trace(directory))
    imported = [Accepted(**step) for step in summary.get("provenance", {}).get("steps", ())]
    command = paths.command(workdir)
    results = paths.results(workdir)
    return Origin(
        place=place,
        config=recorded_config(directory),
        environment=store.read_json_or_empty(paths.environment(workdir)),
        command=command.read_text(encoding="utf-8").strip() if command.exists() else "",
        summary=summary,
        steps=_accepted(trials, place.seed) or tuple(imported),
        accuracies=_accuracies(store.read_results(results), place) if results.exists() else (),
    )


def provenance(origin: Origin) -> dict[str, Any]:
    """Return what is written into exported files, as JSON values.

    Example:
      >>> nowhere = Origin(None, {}, {}, '', {'kept': 5}, (), ())
      >>> sorted(provenance(nowhere))
      ['kept', 'lpjax', 'method']
    """
    known: dict[str, Any] = {"lpjax": origin.environment.get("lpjax", __version__), "method": origin.method}
    if origin.place:
        known |= {"seed": origin.place.seed, "level": origin.place.level}
    for name in ("model", "width", "dataset"):
        if origin.config.get(name):
            known[name] = origin.config[name]
    for name in ("kept", "total", "epoch"):
        if origin.summary.get(name) is not None:
            known[name] = origin.summary[name]
    for name in ("validation_accuracy", "value"):  # of a ticket, of a pool
        if origin.summary.get(name) is not None:
            known["validation_accuracy"] = origin.summary[name]
    if origin.environment.get("commit"):
        known["commit"] = origin.environment["commit"]
    if origin.steps and origin.anchor:
        known["anchor"] = dict(zip(("seed", "level"), origin.anchor, strict=True))
        known["steps"] = [step._asdict() for step in origin.steps]
    return known


def shares(anchor: tuple[int, int], steps: Iterable[Accepted]) -> dict[tuple[int, int], float]:
    """Compute what every ticket contributes to a mix, by seed and level; prunings between steps are left out.

    Example:
      >>> shares((0, 3), [Accepted(0, 2, 0.5), Accepted(0, 4, 0.2)])
      {(0, 3): 0.4, (0, 2): 0.4, (0, 4): 0.2}
    """
    found = {anchor: 1.0}
    for step in steps:
        for ticket in found:
            found[ticket] *= 1 - step.coefficient
        candidate = (step.seed, step.level)
        found[candidate] = found.get(candidate, 0.0) + step.coefficient
    return found


def explain(origin: Origin) -> str:
    """Say how the ticket was found, in one or two sentences."""
    text = _training(origin.config)
    method = origin.method
    if method == TICKET or origin.anchor is None:
        return text
    _, level = origin.anchor
    if method in KINDS:
        return f"{text} The tickets of cycles 1 to {level} are superposed by `{method}` (Sup-tickets)."
    known = METHODS.get(method)
    about = f": {known.about} ({known.reference})" if known else "."
    return f"{text} The ticket of level {level} is the anchor of a pool by `{method}`{about}"


def _training(config: Mapping[str, Any]) -> str:
    sparse = config.get("sparse", {})
    pruning = config.get("imp", {})
    if sparse.get("method") == "dense":
        return "Dense training."
    if "density" in sparse and sparse.get("method", "none") != "none":
        return f"Sparse training by `{sparse['method']}` at density {sparse['density']:g}."
    if pruning.get("tickets_from"):
        return "A ticket that was imported."
    if not {"score", "scope", "prune_fraction", "rewind", "prunable"} <= set(pruning):
        return "How the ticket was found is not recorded."
    rewinding = f"rewinding weights to `{pruning['rewind']}`"
    if not rewinds_weights(pruning["rewind"]):
        rewinding = "rewinding the learning rate alone"
    return (
        f"Iterative pruning by {pruning['score']} ({pruning['scope']}): {pruning['prune_fraction']:g} of the kept "
        f"weights per level, {rewinding}, prunable leaves `{pruning['prunable']}`."
    )


def _accepted(trials: Iterable[Mapping[str, Any]], seed: int) -> tuple[Accepted, ...]:
    steps = []
    for trial in trials:
        if trial["accepted"]:
            steps.append(Accepted(trial.get("candidate_seed", seed), trial["candidate"], trial["coefficient"]))
    return tuple(steps)


def _accuracies(results: Sequence[store.Result], place: paths.Place) -> tuple[Accuracy, ...]:
    method = place.pool or TICKET
    found = []
    for split in ("validation", "test"):
        values = {}
        for row in results:
            if (row.method, row.level, row.split, row.metric) == (method, place.level, split, "accuracy"):
                values[row.seed] = row.value
        if values:
            over_seeds = metrics.mean_interval(list(values.values()))
            found.append(Accuracy(split, values.get(place.seed), len(values), *over_seeds))
    return tuple(found)
