"""The paper's Tables 1 and 2: every method alone and with Sup-tickets."""

from collections.abc import Sequence

import numpy as np

from experiments.keeping import write
from experiments.options import OWN, Options, Panel
from experiments.sup_tickets import pairs, words
from experiments.sup_tickets.paper import Panels, methods, panels, sparsities
from experiments.sup_tickets.runs import BASE, SUP, Run, dense, find
from lpjax.run.config import keeps_its_mask
from lpjax.transforms import METHODS


def make(options: Options, name: str, of: Panels, published: Sequence[str]) -> None:
    """Measure and write the table of some networks and the paper's methods."""
    shown = panels(options, of)
    runs = _runs(options, shown, methods(options, published))
    references = dense(options, shown)
    rows = []
    against = []
    for run, alone in runs:
        rows.append((run.labels | _cheap(run), pairs.compare(run.answers(SUP), alone.answers(BASE))))
        if run.network not in references:
            continue
        base = references[run.network].answers(BASE)
        if run is alone:
            against.append((run.labels | {"arm": "alone"}, pairs.compare(run.answers(BASE), base)))
        against.append((run.labels | {"arm": "with Sup-tickets"}, pairs.compare(run.answers(SUP), base)))
    tables = {"pairs": pairs.frame(rows)}
    cheap = {"mean cheap ticket": words.spread("cheap")}
    parts = [
        words.comparisons(tables["pairs"], words.LABELS, "with Sup-tickets", "method alone", cheap),
        words.count(tables["pairs"]),
    ]
    if against:
        tables["dense"] = pairs.frame(against)
        parts.append("Against the dense network:")
        parts.append(words.comparisons(tables["dense"], (*words.LABELS, "arm"), "sparse", "dense"))
    write(options, name, {}, tables, "\n\n".join(parts))


def _runs(options: Options, shown: Sequence[Panel], methods: Sequence[str]) -> list[tuple[Run, Run]]:
    """Pair every run with the one that has its base network: the same, except where cycles alone explore."""
    runs = find(options, shown, methods, sparsities(options))
    exploring = []
    fixed = [method for method in methods if keeps_its_mask(METHODS[method])]
    if options.preset != OWN and fixed:
        changes = {"superpose.explore": "gradient", "superpose.base": False}
        exploring = find(options, shown, fixed, sparsities(options), "exploring", changes)
    both = []
    for run in runs:
        both.append((run, run))
        for other in exploring:
            if other.labels == run.labels:
                both.append((other._replace(method=f"{run.method}, exploring"), run))
    return both


def _cheap(run: Run) -> dict[str, float]:
    values = np.array(list(run.cheap_mean().values()))
    return {"cheap": float(values.mean()), "cheap_std": pairs.spread(values), "tickets": run.tickets}
