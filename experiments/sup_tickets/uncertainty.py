"""How much cheap tickets disagree, and how well calibrated networks are."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pandas as pd

from experiments.keeping import write
from experiments.options import Options
from experiments.sup_tickets import drawing, pairs, words
from experiments.sup_tickets.paper import CIFAR100, SMALL, WIDE, panels, sparsities
from experiments.sup_tickets.runs import BASE, CHEAP, DENSE, SUP, Run, dense, find
from lpjax import metrics, pools, store
from lpjax.report import style
from lpjax.run.evaluate import measure, predict
from lpjax.run.saved import load_ticket
from lpjax.store import paths

MEASURES = ("disagreement", "divergence", "member", "ensemble", "ensemble_cost", "superposed", "superposed_cost")
METRICS = {"ece": "calibration error", "nll": "likelihood (nats, negative log)"}
ARMS = {"RigL": BASE, "RigL with Sup-tickets": SUP}
LOOKS = {name: style.look(made)._replace(name=name) for name, made in ARMS.items()}
COLUMNS = words.named((*words.LABELS, "metric")) | {
    "alone": words.spread("base"),
    "with Sup-tickets": words.spread("value"),
    "difference": words.spread("difference"),
    "95 % over seeds": lambda row: "" if row["seeds"] == 1 else f"{row['low']:+.4f} to {row['high']:+.4f}",
    "seeds lower, higher": lambda row: f"{row['below']}, {row['above']} of {row['seeds']}",
}


def table6(options: Options) -> None:
    """Table 6: how much cheap tickets disagree, and what ensembles of their outputs reach and cost."""
    shown = panels(options, {**SMALL, "paper": (WIDE[0],)})
    runs = find(options, shown, ("set", "rigl"), sparsities(options))
    rows = [row for run in runs for row in _cheap(run)]
    for network, reference in dense(options, shown).items():
        members = [run.tickets for run in runs if run.network == network]
        if members and len(reference.seeds) > 1:
            rows += _dense(reference, max(members))
    write(options, "table6", {}, {"seeds": pd.DataFrame(rows)}, describe_ensembles)


def describe_ensembles(tables: Mapping[str, pd.DataFrame], preset: str = "") -> str:
    """Write means and spread over seeds of a table with one row per ensemble and seed."""
    del preset
    over_seeds = tables["seeds"].groupby([*words.LABELS, "members"], sort=False)[list(MEASURES)]
    std = over_seeds.std().add_suffix("_std")
    shown = over_seeds.mean().join(std).reset_index()
    # Dense ensembles share members, so that their spread would look too small.
    shown.loc[shown["method"] == DENSE, list(std)] = float("nan")
    columns = words.named((*words.LABELS, "members")) | {
        "disagreement": words.spread("disagreement"),
        "KL divergence (nats)": words.spread("divergence"),
        "mean member": words.spread("member"),
        "output ensemble": words.spread("ensemble"),
        "FLOPs of the ensemble": words.times("ensemble_cost"),
        "superposed": words.spread("superposed"),
        "FLOPs of the superposed": words.times("superposed_cost"),
    }
    return words.table(shown, columns)


def _cheap(run: Run) -> list[dict[str, Any]]:
    superposed = run.measured(SUP, "accuracy")
    cost = run.summary(SUP, "inference_flops")
    rows = []
    for seed in run.seeds:
        members = [run.directory(seed, CHEAP, level) for level in range(1, run.tickets + 1)]
        rows.append(_row(run, seed, members, superposed[seed], cost[seed]))
    return rows


def _dense(run: Run, members: int) -> list[dict[str, Any]]:
    """Form an ensemble of every seed's network and its successors', around the end; once if that is all of them."""
    seeds = run.seeds
    count = min(members, len(seeds))
    rows = []
    for first in range(len(seeds) if count < len(seeds) else 1):
        chosen = [seeds[(first + n) % len(seeds)] for n in range(count)]
        directories = [run.directory(seed, BASE) for seed in chosen]
        rows.append(_row(run, chosen[0], directories, float("nan"), float("nan")))
    return rows


def _row(run: Run, seed: int, directories: Sequence[Path], superposed: float, superposed_cost: float) -> dict[str, Any]:
    """Measure networks on the same test images, one by one, in pairs and together."""
    setup = run.setup
    labels = setup.data.test.labels
    logits = jnp.stack([predict(setup, load_ticket(setup, place).params, setup.data.test) for place in directories])
    return {
        **run.labels,
        "members": len(directories),
        "disagreement": float(metrics.pairwise(metrics.disagreement, logits)),
        "divergence": float(metrics.pairwise(metrics.kl_divergence, logits)),
        "member": float(np.mean([measure(each, labels)["accuracy"] for each in logits])),
        "ensemble": measure(pools.ensemble(logits, "probabilities"), labels)["accuracy"],
        "ensemble_cost": sum(store.read_json(paths.summary(place))["inference_flops"] for place in directories),
        "seed": seed,
        "superposed": superposed,
        "superposed_cost": superposed_cost,
    }


def figure5(options: Options) -> None:
    """Figure 5: calibration error and likelihood of RigL, alone and with Sup-tickets."""
    runs = find(options, panels(options, CIFAR100), ("rigl",), sparsities(options))
    rows = []
    measured = []
    for run in runs:
        for metric, title in METRICS.items():
            pair = pairs.compare_values(run.measured(SUP, metric), run.measured(BASE, metric))
            rows.append(run.labels | {"metric": metric} | pair)
            for curve, made in ARMS.items():
                labels = {"panel": f"{run.network}: {title}", "x": words.plain(run.sparsity), "curve": curve}
                measured += pairs.per_seed(labels, run.measured(made, metric))
    table = pd.DataFrame(rows)
    points = pd.DataFrame(measured)
    panel = [(str(key), part) for key, part in points.groupby("panel", sort=False)]
    figure = drawing.curves(panel, LOOKS, "sparsity", "the lower the better")
    tables = {"pairs": table, "measures": points}
    write(options, "figure5", {"uncertainty": figure}, tables, describe_uncertainty)


def describe_uncertainty(tables: Mapping[str, pd.DataFrame], preset: str = "") -> str:
    """Write calibration error and likelihood, alone and with Sup-tickets."""
    del preset
    return words.table(tables["pairs"], COLUMNS)
