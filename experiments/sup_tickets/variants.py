"""The tables that change one choice of Sup-tickets: every choice against the paper's own, RigL's masks."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from experiments.keeping import write
from experiments.options import OWN, Options, Panel
from experiments.sup_tickets import pairs, words
from experiments.sup_tickets.paper import CIFAR100, panels, sparsities
from experiments.sup_tickets.runs import SUP, Run, find

METHODS = ("rigl",)


def make(options: Options, name: str, setting: str, values: Sequence[str], heading: str) -> None:
    """Compare values of a setting of the section `superpose`; the first is the configs' own."""
    own, *others = values
    changes: list[tuple[str, Mapping]] = [("", {})]
    changes += [(f"{setting}_{other}", {f"superpose.{setting}": other}) for other in others]
    runs = find_variants(options, panels(options, CIFAR100), sparsities(options), changes)
    table = compare(runs, setting, lambda run: run.setup.config.superpose[setting], own)
    write(options, name, {}, {"pairs": table}, text(table, setting, heading))


def find_variants(
    options: Options, panels: Sequence[Panel], sparsities: Sequence[float], changes: Sequence[tuple[str, Mapping]]
) -> list[Run]:
    """Find RigL's runs with every variant of the section `superpose`; given work directories as they are.

    Args:
      options: What was asked for.
      panels: Networks.
      sparsities: Of their masks.
      changes: Of every variant, the name to add to its work directory and fields; none for the config's own.
    """
    if options.preset == OWN:
        return find(options, panels, METHODS, sparsities)
    runs = []
    for variant, fields in changes:
        # Base networks do not depend on the superposition: those of the config's own run are everyone's.
        changed = {**fields, "superpose.base": False} if fields else {}
        runs += find(options, panels, METHODS, sparsities, variant, changed)
    return runs


def compare(runs: Sequence[Run], what: str, of: Callable[[Run], Any], reference: Any) -> pd.DataFrame:
    """Compare the Sup-tickets of every variant with those of one.

    Args:
      runs: Of all variants.
      what: A name for the choice.
      of: Which a run has.
      reference: What the others are compared with; where no run of a network has it, the first one's.

    Returns:
      One row per run, as `pairs.frame` gives it, with its labels, the choice and the number of tickets.
    """
    rows = []
    for run in runs:
        alike = [other for other in runs if other.labels == run.labels]
        base = next((other for other in alike if of(other) == reference), alike[0])
        pair = pairs.compare(run.answers(SUP), base.answers(SUP))
        rows.append((run.labels | {what: of(run), "tickets": run.tickets}, pair))
    return pairs.frame(rows).sort_values(list(words.LABELS), ascending=[True, True, False], kind="stable")


def text(table: pd.DataFrame, what: str, reference: str) -> str:
    """Write the comparison of variants, with their reference for the heading, and the orders found."""
    shown = words.comparisons(table, (*words.LABELS, what, "tickets"), "with Sup-tickets", reference)
    return f"{shown}\n\nBest first, by mean:\n\n{words.orders(table, words.LABELS, what)}"
