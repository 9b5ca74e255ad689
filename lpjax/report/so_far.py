"""What a run that has not finished can show: how far it is, what it lacks, and its tickets by now."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lpjax.report import arms, processes, reading
from lpjax.store import paths


def told(workdir: Path, now: datetime | None = None) -> dict[str, Any]:
    """Gathers what the page tells of a run at work, or cut off.

    Args:
      workdir: A run's.
      now: To count silence up to; by default the time of the call.

    Returns:
      `unfinished`: whether anything is missing, or the first process had not finished when it was last heard of;
      `missing`, in words; `progress`, a record a seed; `processes`, as `processes.signs` gives them; `as_of`, the time;
      `tickets`, as `ticket_table` gives them.
    """
    now = now or datetime.now(UTC)
    signs, lacking = processes.signs(workdir, now), missing(workdir)
    sparse = arms.is_sparse(reading.json_or_empty(paths.config(workdir)))
    return {
        "unfinished": bool(lacking) or (bool(signs) and signs[0].state != "finished"),
        "missing": lacking,
        "progress": arms.progress(workdir) if sparse else reading.progress(workdir),
        "processes": signs,
        "as_of": f"{now.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC",
        "tickets": ticket_table(workdir, sparse),
    }


def missing(workdir: Path) -> str:
    """Says what a run lacks of what its config asks for.

    Args:
      workdir: A run's.

    Returns:
      One line; empty if nothing is missing.
    """
    if arms.is_sparse(reading.json_or_empty(paths.config(workdir))):
        progress = arms.progress(workdir)
        parts = {seed["seed"]: seed["parts"] for seed in progress if seed["unfinished"]}
    else:
        progress = reading.progress(workdir)
        parts = {
            seed["seed"]: [("tickets", seed["tickets"], seed["levels"]), ("pools", seed["pools"], seed["all_pools"])]
            for seed in progress
        }
    if not progress:
        return "no epoch has been recorded yet"
    short = {
        seed: ", ".join(f"{done:.4g} of {asked:g} {name}" for name, done, asked in counts if done < asked)
        for seed, counts in parts.items()
    }
    unmeasured = [] if paths.results(workdir).exists() else ["nothing is measured on test images"]
    return "; ".join([*(f"seed {seed} has {words}" for seed, words in short.items() if words), *unmeasured])


def ticket_table(workdir: Path, sparse: bool) -> dict[str, Any]:
    """Lays out the tickets found by now.

    Args:
      workdir: A run's.
      sparse: Whether its levels are a base network and cheap tickets.

    Returns:
      `seeds`; `rows`, one a level: `name`, `density`, `kept` (means over seeds), `accuracy`: on validation, of every
      seed, `None` where it is missing.
    """
    found = reading.tickets(workdir).dropna()
    seeds = sorted(set(found["seed"]))
    accuracy = {(row.seed, row.level): row.validation_accuracy for row in found.itertuples()}
    rows = [
        {
            "name": (f"cheap ticket {level}" if level else "base network") if sparse else str(level),
            "density": density,
            "kept": kept,
            "accuracy": [accuracy.get((seed, level)) for seed in seeds],
        }
        for level, density, kept in found.groupby("level")[["density", "kept"]].mean().itertuples()
    ]
    return {"seeds": seeds, "rows": rows}
