"""A work directory in plain text: its levels, the densities of its layers, and what its pools are made of."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lpjax import sparsity, store
from lpjax.choices import one_of
from lpjax.errors import UserError
from lpjax.report import arms, figures, reading, so_far, style, tables
from lpjax.store import paths


def describe(workdir: Path, seed: int | None = None, method: str = "") -> str:
    """Describe a run, finished or not, in a few tables; nothing is computed or written.

    Args:
      workdir: Of a run.
      seed: Whose layers and pools are shown; by default the first.
      method: Of the pools whose candidates are listed; by default that of the report's figure.

    Returns:
      The text: test accuracies by level (validation accuracies before anything is measured), densities of layers, and
      the candidates that every pool accepted.

    Raises:
      UserError: If the directory is not of a run, or the run has no such seed or pools.
    """
    config = reading.config(workdir)
    seeds = config["seeds"]
    if seed is not None and seed not in seeds:
        raise UserError(f"--seed: got {seed}, expected one of {', '.join(map(str, seeds))}; give a seed of this run")
    chosen = seeds[0] if seed is None else seed
    parts = [_headline(workdir, config), _accuracies(workdir, config), _layers(workdir, chosen)]
    if method:
        one_of("--method", method, config.get("pool", {}).get("methods", ()))
    method = method or figures.searched(workdir)[0]
    if method:
        parts.append(_lineage(workdir, chosen, method))
    return "\n\n".join(part for part in parts if part)


def _headline(workdir: Path, config: dict[str, Any]) -> str:
    kind = "tickets by iterative pruning"
    if arms.is_sparse(config):
        kind = f"sparse training by {config['sparse']['method']}"
    missing = so_far.missing(workdir)
    state = f"unfinished: {missing}" if missing else "finished"
    return f"{config['model']} on {config['dataset']}, {kind}, seeds {', '.join(map(str, config['seeds']))}; {state}"


def _accuracies(workdir: Path, config: dict[str, Any]) -> str:
    results = reading.results(workdir)
    if results.empty:
        return _validation_accuracies(workdir, sparse=arms.is_sparse(config))
    rows = []
    for row in tables.by_level(arms.named(results) if arms.is_sparse(config) else results):
        cells = {"level": row["level"], "density": f"{row['density']:.4f}", "kept": f"{row['kept']:,}"}
        for method, accuracy in row["accuracy"].items():
            cells[style.look(method).name] = _spread(accuracy)
        rows.append(cells)
    spread = ", mean ± standard deviation over seeds" if len(config["seeds"]) > 1 else ""
    return f"test accuracy (%){spread}\n\n{_table(rows)}"


def _validation_accuracies(workdir: Path, *, sparse: bool) -> str:
    found = so_far.ticket_table(workdir, sparse)
    rows = []
    for row in found["rows"]:
        cells = {"level": row["name"], "density": f"{row['density']:.4f}", "kept": f"{row['kept']:,.0f}"}
        for seed, accuracy in zip(found["seeds"], row["accuracy"], strict=True):
            cells[f"seed {seed}"] = "" if accuracy is None else f"{100 * accuracy:.2f}"
        rows.append(cells)
    return f"validation accuracy (%) so far\n\n{_table(rows)}" if rows else ""


def _layers(workdir: Path, seed: int) -> str:
    """Lay out the density of every layer, a column per level."""
    columns = {}
    for level, directory in reading.levels(workdir, seed):
        if paths.ticket(directory).exists():
            mask = store.restore_mask(directory)
            columns[f"level {level}"] = sparsity.density_per_leaf(mask, _is_pruned)
    if not columns:
        return ""
    table = pd.DataFrame(columns).to_string(float_format="{:.3f}".format)
    return f"densities of layers, seed {seed}\n\n{table}"


def _is_pruned(path: str, leaf: np.ndarray) -> bool:
    """Tell whether a leaf of a stored mask belongs to a pruned layer: others are stored as a scalar."""
    del path
    return leaf.ndim > 0


def _lineage(workdir: Path, seed: int, method: str) -> str:
    """Say of every pool which candidates it accepted, in the order in which they were tried."""
    trials = reading.trials(workdir, method)
    trials = trials[trials["seed"] == seed]
    lines = []
    for anchor, tried in trials.groupby("anchor"):
        accepted = tried[tried["accepted"].astype(bool)]
        mixes = [f"level {row.candidate} (c={row.coefficient:.2g})" for row in accepted.itertuples()]
        lines.append(f"level {anchor}: {', '.join(mixes) or 'none'}; {len(accepted)} of {len(tried)} accepted")
    if not lines:
        return ""
    title = (
        f"{style.look(method).name}, seed {seed}: accepted candidates of each level, in order, with their coefficients"
    )
    return "\n".join([title, "", *lines])


def _spread(spread: tables.Spread | None) -> str:
    if spread is None:
        return ""
    mean = f"{100 * spread.mean:.2f}"
    return mean if spread.std is None else f"{mean} ± {100 * spread.std:.2f}"


def _table(rows: list[dict[str, Any]]) -> str:
    return pd.DataFrame(rows).to_string(index=False)
