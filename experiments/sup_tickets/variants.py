"""The tables and figures that change one choice of Sup-tickets, RigL's masks."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from experiments.keeping import Describe, write
from experiments.options import OWN, Options, Panel, config_of
from experiments.sup_tickets import drawing, pairs, words
from experiments.sup_tickets.paper import CIFAR100, SMALL, WIDE, panels, sparsities
from experiments.sup_tickets.runs import BASE, SUP, Run, find
from lpjax import train
from lpjax.report import style
from lpjax.run import run_stages
from lpjax.run.evaluate import evaluation_stage
from lpjax.run.superpose import superpose_stage
from lpjax.train.cyclical import SHAPES

METHODS = ("rigl",)
CYCLES = {"demo": ("3ep", "1ep", "2ep", "5ep"), "laptop": ("2ep", "1ep", "3ep"), "cifar": ("2ep", "1ep", "4ep")}
PUBLISHED_CYCLES = ("8ep", "2ep", "4ep", "12ep")
"""The first is the config's own."""

COUNTS = (2, 4, 7)
DECAYS = (0.9, 0.8, 0.5, 0.2, 0.1)
AVERAGES = {SUP: "CIA", "caa": "CAA", **{f"cima_{decay}": f"CIMA {decay}" for decay in DECAYS}}
"""How the superpositions are shown, by the name of their folder."""

AVERAGE_LOOKS = {name: style.look(name) for name in (SUP, "caa", "cima", BASE)}
COUNT_LOOKS = {
    "superposed": style.look(SUP)._replace(name="superposed"),
    "cheap tickets": style.look("recalibrated")._replace(name="cheap tickets, mean"),
}


def table5(options: Options) -> None:
    """Table 5: long cycles and short ones."""
    vary(options, "table5", "cycle", CYCLES.get(options.preset, PUBLISHED_CYCLES), describe_cycles)


def describe_cycles(tables: Mapping[str, pd.DataFrame], preset: str) -> str:
    """Write the comparison of cycles of several lengths."""
    first = CYCLES.get(preset, PUBLISHED_CYCLES)[0]
    return describe_variants(tables["pairs"], "cycle", "the first" if preset == OWN else f"cycle of {first}")


def table7(options: Options) -> None:
    """Table 7: shapes of the cyclical learning rate."""
    vary(options, "table7", "shape", SHAPES, describe_shapes)


def describe_shapes(tables: Mapping[str, pd.DataFrame], preset: str = "") -> str:
    """Write the comparison of shapes of the learning rate."""
    del preset
    return describe_variants(tables["pairs"], "shape", SHAPES[0])


def vary(options: Options, name: str, setting: str, values: Sequence[str], describe: Describe) -> None:
    """Compare values of a setting of the section `superpose`; the first is the configs' own."""
    own, *others = values
    changes: list[tuple[str, Mapping]] = [("", {})]
    changes += [(f"{setting}_{other}", {f"superpose.{setting}": other}) for other in others]
    runs = find_variants(options, panels(options, CIFAR100), sparsities(options), changes)
    table = compare(runs, setting, lambda run: run.setup.config.superpose[setting], own)
    write(options, name, {}, {"pairs": table}, describe)


def find_variants(
    options: Options, panels: Sequence[Panel], sparsities: Sequence[float], changes: Sequence[tuple[str, Mapping]]
) -> list[Run]:
    """Find RigL's runs with every variant of the section `superpose`; given work directories as they are.

    A change is the name to add to the work directory, and fields; none for the config's own.
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
    """Compare the Sup-tickets of every variant, one row per run, with those of one.

    Args:
      runs: Of all variants.
      what: A name for the choice.
      of: Which a run has.
      reference: What the others are compared with; where no run of a network has it, the first one's.
    """
    rows = []
    for run in runs:
        alike = [other for other in runs if other.labels == run.labels]
        base = next((other for other in alike if of(other) == reference), alike[0])
        labels = run.labels | {what: of(run), "tickets": run.tickets}
        rows.append(labels | pairs.compare(run.answers(SUP), base.answers(SUP)))
    return pd.DataFrame(rows).sort_values(list(words.LABELS), ascending=[True, True, False], kind="stable")


def describe_variants(table: pd.DataFrame, what: str, reference: str) -> str:
    """Write the comparison of variants, with their reference for the heading, and the orders found."""
    shown = words.comparisons(table, (*words.LABELS, what, "tickets"), "with Sup-tickets", reference)
    return f"{shown}\n\nBest first, by mean:\n\n{words.orders(table, words.LABELS, what)}"


def figure3(options: Options) -> None:
    """Figure 3: ways to average cheap tickets."""
    runs = find(options, panels(options, CIFAR100), METHODS, sparsities(options))
    rows = []
    for run in runs:
        _superpose(run)
        for name, title in {**AVERAGES, BASE: "base network"}.items():
            pair = pairs.compare(run.answers(name), run.answers(SUP))
            rows.append(run.labels | {"average": title} | pair)
    table = pd.DataFrame(rows)
    points = _points_by_decay(runs)
    figures = {}
    for network, of in points.groupby("network", sort=False):
        panel = [(f"sparsity {words.plain(sparsity)}", part) for sparsity, part in of.groupby("sparsity", sort=False)]
        name = re.sub(r"\W+", "_", f"averages {network}".lower())
        figures[name] = drawing.curves(panel, AVERAGE_LOOKS, "decay of CIMA", "test accuracy (%)")
    write(options, "figure3", figures, {"pairs": table, "accuracies": points}, describe_averages)


def describe_averages(tables: Mapping[str, pd.DataFrame], preset: str = "") -> str:
    """Write the comparison of ways to average."""
    del preset
    shown = words.comparisons(tables["pairs"], (*words.LABELS, "average"), "accuracy", "CIA")
    return f"{shown}\n\nBest first, by mean:\n\n{words.orders(tables['pairs'], words.LABELS, 'average')}"


def _superpose(run: Run) -> None:
    """Average the cheap tickets that the run kept in every way that is not there yet; nothing is trained."""
    config = run.setup.config
    stages = []
    for seed in run.seeds:
        for kind in (SUP, "caa"):
            stages.append(superpose_stage(config, run.workdir, seed, run.tickets, kind))
        for decay in DECAYS:
            name = f"cima_{decay}"
            stages.append(superpose_stage(config, run.workdir, seed, run.tickets, name, kind="cima", decay=decay))
        stages.append(evaluation_stage(run.workdir, seed, range(1 + run.tickets), tuple(AVERAGES)))
    run_stages(run.setup, run.workdir, stages)


def _points_by_decay(runs: Sequence[Run]) -> pd.DataFrame:
    """Return accuracies by decay; what has none stays the same all along."""
    rows = []
    for run in runs:
        for curve in AVERAGE_LOOKS:
            for decay in sorted(DECAYS):
                measured = run.measured(f"cima_{decay}" if curve == "cima" else curve, "accuracy")
                rows += pairs.per_seed({**run.labels, "curve": curve, "x": decay}, measured)
    points = pd.DataFrame(rows)
    return points.assign(value=100 * points["value"])


def figure4(options: Options) -> None:
    """Figure 4: few cheap tickets and many, and what each is worth alone."""
    shown = panels(options, {**SMALL, "paper": (WIDE[1],)})
    sparse = (0.95,) if options.preset == "demo" else sparsities(options)
    changes = [] if options.preset == OWN else [_change(shown[0], count) for count in COUNTS]
    runs = find_variants(options, shown, sparse, changes)
    counts = compare(runs, "tickets", lambda run: run.tickets, COUNTS[1])
    rows = []
    for run in runs:
        pair = pairs.compare_values(run.measured(SUP, "accuracy"), run.cheap_mean())
        rows.append(run.labels | {"tickets": run.tickets} | pair)
    each = pd.DataFrame(rows)
    points = _points_by_count(runs)
    panel = [(str(key), part.assign(value=100 * part["value"])) for key, part in points.groupby("panel", sort=False)]
    figure = drawing.curves(panel, COUNT_LOOKS, "cheap tickets", "test accuracy (%)")
    tables = {"pairs": each, "counts": counts, "accuracies": points}
    write(options, "figure4", {"counts": figure}, tables, describe_counts)


def describe_counts(tables: Mapping[str, pd.DataFrame], preset: str) -> str:
    """Write what superpositions of few and many tickets gain over these, and over one another."""
    parts = [
        words.comparisons(tables["pairs"], (*words.LABELS, "tickets"), "superposed", "mean cheap ticket"),
        "Superpositions of so many against one another:",
        describe_variants(tables["counts"], "tickets", "the first" if preset == OWN else f"of {COUNTS[1]}"),
    ]
    return "\n\n".join(parts)


def _change(panel: Panel, count: int) -> tuple[str, Mapping]:
    """Give cycles the share of training that so many take; change nothing where the config has so many already."""
    config = config_of(panel, "rigl,0.95")
    duration = config.train.duration
    settings = config.superpose
    if train.phases(train.steps(duration, 1), settings.share, train.steps(settings.cycle, 1)).cycles == count:
        return "", {}
    return f"{count}_tickets", {"superpose.share": share(duration, settings.cycle, count)}


def share(duration: str, cycle: str, count: int) -> float:
    """Return which share of training a number of cycles needs, halfway to one cycle more: off the edge of one less."""
    return round((count + 0.5) * train.steps(cycle, 1) / train.steps(duration, 1), 6)


def _points_by_count(runs: Sequence[Run]) -> pd.DataFrame:
    rows = []
    for run in runs:
        labels = {"panel": f"{run.network}, sparsity {words.plain(run.sparsity)}", "x": run.tickets}
        rows += pairs.per_seed(labels | {"curve": "superposed"}, run.measured(SUP, "accuracy"))
        rows += pairs.per_seed(labels | {"curve": "cheap tickets"}, run.cheap_mean())
    return pd.DataFrame(rows)
