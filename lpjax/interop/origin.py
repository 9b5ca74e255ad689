"""What a work directory says of one of its tickets or pools: how it was found, from what, and how good it is."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lpjax import store
from lpjax.interop.destination import RECORD
from lpjax.pools import KINDS, METHODS
from lpjax.store import paths
from lpjax.version import __version__

TICKET = "ticket"
_CONFIDENCE = 0.95


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
      low: Lower end of Student's 95 % interval of the mean over seeds; None for one seed.
      high: Its upper end.
    """

    split: str
    value: float | None
    n: int
    mean: float
    low: float | None
    high: float | None


class Origin(NamedTuple):
    """Where a ticket comes from. What is not known is empty.

    Attributes:
      place: Its seed, level and pool; None for a directory that lies in no work directory.
      config: The resolved configuration of the run; of imported tickets, their record.
      environment: Versions and devices of the run.
      command: The command of the run.
      summary: Of the level or pool.
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
        """`'ticket'`, or the name of the pool."""
        return self.place.pool or TICKET if self.place else TICKET

    @property
    def dataset(self) -> str:
        """The data set of the run."""
        return self.config.get("dataset") or ""


def origin_of(directory: Path) -> Origin:
    """Read what is known of the ticket of a level or pool.

    Args:
      directory: The level's or the pool's.

    Returns:
      What was found.
    """
    summary = _read(paths.summary(directory))
    place = paths.parse(directory)
    if place is None:
        return Origin(None, {}, {}, "", summary, (), ())
    workdir = place.workdir
    command = paths.command(workdir)
    trace = _read(paths.trace(directory))
    results = paths.results(workdir)
    return Origin(
        place=place,
        config=_read(paths.config(workdir)) or _read(workdir / RECORD),
        environment=_read(paths.environment(workdir)),
        command=command.read_text(encoding="utf-8").strip() if command.exists() else "",
        summary=summary,
        steps=_accepted(trace, place.seed),
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
    for name in ("kept", "total", "epoch", "validation_accuracy"):
        if origin.summary.get(name) is not None:
            known[name] = origin.summary[name]
    if origin.environment.get("commit"):
        known["commit"] = origin.environment["commit"]
    if origin.steps:
        known["steps"] = [step._asdict() for step in origin.steps]
    return known


def shares(place: paths.Place, steps: Iterable[Accepted]) -> dict[tuple[int, int], float]:
    """Compute what every ticket contributes to a mix, by seed and level; prunings between steps are left out.

    Example:
      >>> anchor = paths.Place(Path('runs'), seed=0, level=3, pool='interpolation')
      >>> shares(anchor, [Accepted(0, 2, 0.5), Accepted(0, 4, 0.2)])
      {(0, 3): 0.4, (0, 2): 0.4, (0, 4): 0.2}
    """
    found = {(place.seed, place.level): 1.0}
    for step in steps:
        for ticket in found:
            found[ticket] *= 1 - step.coefficient
        candidate = (step.seed, step.level)
        found[candidate] = found.get(candidate, 0.0) + step.coefficient
    return found


def explain(origin: Origin) -> str:
    """Say how the ticket was found, in one or two sentences."""
    text = _training(origin.config)
    place = origin.place
    if place is None or not place.pool:
        return text
    if place.pool in KINDS:
        return f"{text} The tickets of cycles 1 to {place.level} are superposed by `{place.pool}` (Sup-tickets)."
    known = METHODS.get(place.pool)
    about = f": {known.about} ({known.reference})" if known else "."
    return f"{text} The ticket of level {place.level} is the anchor of a pool by `{place.pool}`{about}"


def _training(config: Mapping[str, Any]) -> str:
    sparse = config.get("sparse", {})
    pruning = config.get("imp", {})
    if "density" in sparse and sparse.get("method", "none") != "none":
        return f"Sparse training by `{sparse['method']}` at density {sparse['density']:g}."
    if pruning.get("tickets_from"):
        return "A ticket that was imported."
    if not {"score", "scope", "prune_fraction", "rewind", "prunable"} <= set(pruning):
        return "How the ticket was found is not recorded."
    return (
        f"Iterative pruning by {pruning['score']} ({pruning['scope']}): {pruning['prune_fraction']:g} of the kept "
        f"weights per level, rewinding to `{pruning['rewind']}`, prunable leaves `{pruning['prunable']}`."
    )


def _accepted(trace: Mapping[str, Any], seed: int) -> tuple[Accepted, ...]:
    steps = []
    for trial in trace.get("trials", ()):
        if trial["accepted"]:
            level = trial.get("candidate", trial.get("newcomer"))  # lpjax 0.1 called it a newcomer
            steps.append(Accepted(trial.get("candidate_seed", seed), level, trial["coefficient"]))
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
            low, high = _interval(np.array(list(values.values())))
            mean = float(np.mean(list(values.values())))
            found.append(Accuracy(split, values.get(place.seed), len(values), mean, low, high))
    return tuple(found)


def _interval(values: np.ndarray) -> tuple[float | None, float | None]:
    """Compute Student's interval of a mean; no interval for one value."""
    from scipy import stats  # slow: a second

    if len(values) < 2:
        return None, None
    reach = stats.t.ppf((1 + _CONFIDENCE) / 2, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return float(values.mean() - reach), float(values.mean() + reach)


def _read(path: Path) -> dict[str, Any]:
    return store.read_json(path) if path.exists() else {}
