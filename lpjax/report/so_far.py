"""What a run that has not finished can show: how far it is, what it lacks, and its tickets by now."""

from pathlib import Path
from typing import Any

from lpjax import store
from lpjax.report import arms, reading
from lpjax.store import paths


def summary(workdir: Path) -> dict[str, Any]:
    """Gather what the page tells of a run at work, or cut off."""
    lacking = missing(workdir)
    return {
        "unfinished": bool(lacking),
        "missing": lacking,
        "progress": _progress(workdir),
        "last_lines": last_lines(workdir),
        "tickets": ticket_table(workdir, _is_sparse(workdir)),
    }


def missing(workdir: Path) -> str:
    """Say in one line what a run lacks of what its config asks for; empty if nothing is missing."""
    progress = _progress(workdir)
    if not progress:
        return "no epoch has been recorded yet"
    lacking = []
    for seed in progress:
        short = [f"{done:.4g} of {asked:g} {name}" for name, done, asked in seed["parts"] if done < asked]
        if short and seed.get("unfinished", True):
            lacking.append(f"seed {seed['seed']} has {', '.join(short)}")
    if not paths.results(workdir).exists():
        lacking.append("nothing is measured on test images")
    return "; ".join(lacking)


def last_lines(workdir: Path) -> list[str]:
    """Read the last line that every process of a run has logged, with its time; a line may be cut short."""
    lines = []
    for path in sorted(paths.log(workdir, 0).parent.glob("process_*.txt")):
        text = path.read_text(encoding="utf-8", errors="replace").strip()
        if text:
            lines.append(text.splitlines()[-1])
    return lines


def ticket_table(workdir: Path, sparse: bool) -> dict[str, Any]:
    """Lay out the tickets found by now: `seeds`, and `rows`, one a level, with the accuracy on validation by seed."""
    found = reading.tickets(workdir).dropna()
    seeds = sorted(set(found["seed"]))
    rows = []
    for level in sorted(set(found["level"])):
        table = found[found["level"] == level]
        name = str(level)
        if sparse:
            name = f"cheap ticket {level}" if level else "base network"
        accuracy = dict(zip(table["seed"], table["validation_accuracy"], strict=True))
        row = {"name": name, "density": table["density"].mean(), "kept": table["kept"].mean()}
        rows.append(row | {"accuracy": [accuracy.get(seed) for seed in seeds]})
    return {"seeds": seeds, "rows": rows}


def _progress(workdir: Path) -> list[dict[str, Any]]:
    return arms.progress(workdir) if _is_sparse(workdir) else reading.progress(workdir)


def _is_sparse(workdir: Path) -> bool:
    return arms.is_sparse(store.read_json_or_empty(paths.config(workdir)))
