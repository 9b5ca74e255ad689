"""Table 6: how much cheap tickets disagree, and what ensembles of their outputs reach and cost.

Command: python -m experiments.sup_tickets.table6 --preset=demo
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pandas as pd

from experiments.keeping import write
from experiments.options import Options
from experiments.sup_tickets import words
from experiments.sup_tickets.paper import SMALL, SPARSITIES, WIDE, by_preset, main, panels
from experiments.sup_tickets.runs import BASE, CHEAP, DENSE, SUP, Run, dense, find
from lpjax import metrics, pools, store
from lpjax.run.evaluate import measure, predict
from lpjax.run.pools import load_ticket
from lpjax.store import paths

METHODS, PUBLISHED = ("set", "rigl"), (0.95, 0.9, 0.8)
MEASURES = ("disagreement", "divergence", "member", "ensemble", "ensemble_cost", "superposed", "superposed_cost")


def make(options: Options) -> None:
    """Measures and writes.

    Args:
      options: What was asked for.
    """
    shown = panels(options, {**SMALL, "paper": (WIDE[0],)})
    runs = find(options, shown, METHODS, by_preset(options, SPARSITIES, PUBLISHED))
    rows = [row for run in runs for row in _cheap(run)]
    for network, reference in dense(options, shown).items():
        members = [run.tickets for run in runs if run.network == network]
        if members and len(reference.seeds) > 1:
            rows += _dense(reference, max(members))
    table = pd.DataFrame(rows)
    write(options, "table6", {}, {"seeds": table}, text(table))


def text(table: pd.DataFrame) -> str:
    """Makes a table for people, of means and spread over seeds.

    Args:
      table: One row an ensemble and seed: labels, `members` and the columns of `MEASURES`.

    Returns:
      Markdown.
    """
    over_seeds = table.groupby([*words.LABELS, "members"], sort=False)[list(MEASURES)]
    mean, std = over_seeds.mean(), over_seeds.std().add_suffix("_std")
    shown = mean.join(std).reset_index()
    # Dense ensembles share members, so that their spread would look too small.
    shown.loc[shown["method"] == DENSE, list(std)] = float("nan")
    return words.table(
        shown,
        words.named((*words.LABELS, "members"))
        | {
            "disagreement": words.spread("disagreement"),
            "KL divergence (nats)": words.spread("divergence"),
            "mean member": words.spread("member"),
            "output ensemble": words.spread("ensemble"),
            "FLOPs of the ensemble": words.times("ensemble_cost"),
            "superposed": words.spread("superposed"),
            "FLOPs of the superposed": words.times("superposed_cost"),
        },
    )


def _cheap(run: Run) -> list[dict[str, Any]]:
    superposed, cost = run.measured(SUP, "accuracy"), run.summary(SUP, "inference_flops")
    levels = range(1, run.tickets + 1)
    return [
        {
            **run.labels,
            **_ensemble(run, [run.directory(seed, CHEAP, level) for level in levels]),
            "seed": seed,
            "superposed": superposed[seed],
            "superposed_cost": cost[seed],
        }
        for seed in run.seeds
    ]


def _dense(run: Run, members: int) -> list[dict[str, Any]]:
    """Lets every seed's network and its successors', around the end, speak together."""
    count, seeds = min(members, len(run.seeds)), run.seeds
    together = [[seeds[(first + n) % len(seeds)] for n in range(count)] for first in range(len(seeds))]
    return [
        {
            **run.labels,
            **_ensemble(run, [run.directory(member, BASE) for member in chosen]),
            "seed": chosen[0],
            "superposed": float("nan"),
            "superposed_cost": float("nan"),
        }
        for chosen in (together if count < len(seeds) else together[:1])
    ]


def _ensemble(run: Run, directories: Sequence[Path]) -> dict[str, Any]:
    """Measures what networks say of the same test images, one by one, in pairs and together."""
    setup = run.setup
    labels = setup.data.test.labels
    logits = jnp.stack([predict(setup, load_ticket(setup, place).params, setup.data.test) for place in directories])
    return {
        "members": len(directories),
        "disagreement": float(metrics.pairwise(metrics.disagreement, logits)),
        "divergence": float(metrics.pairwise(metrics.kl_divergence, logits)),
        "member": float(np.mean([measure(each, labels)["accuracy"] for each in logits])),
        "ensemble": measure(pools.ensemble(logits, "probabilities"), labels)["accuracy"],
        "ensemble_cost": sum(store.read_json(paths.summary(place))["inference_flops"] for place in directories),
    }


if __name__ == "__main__":
    main(make, __doc__)
