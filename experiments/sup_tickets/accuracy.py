"""The paper's Tables 1 and 2: every method alone and with Sup-tickets."""

from collections.abc import Sequence

import numpy as np

from experiments.keeping import write
from experiments.options import OWN, Options, Panel
from experiments.sup_tickets import pairs, words
from experiments.sup_tickets.paper import METHODS, SPARSITIES, Panels, by_preset, panels
from experiments.sup_tickets.runs import BASE, SUP, Run, dense, find
from lpjax.run.config import keeps_its_mask
from lpjax.transforms import METHODS as TRANSFORMS

PUBLISHED = (0.95, 0.9, 0.8)


def make(options: Options, name: str, of: Panels, methods: Sequence[str]) -> None:
    """Measures and writes.

    Args:
      options: What was asked for.
      name: The experiment's folder.
      of: Its networks.
      methods: The paper's.
    """
    shown = panels(options, of)
    sparsities = by_preset(options, SPARSITIES, PUBLISHED)
    runs = _runs(options, shown, by_preset(options, METHODS, methods), sparsities)
    references = dense(options, shown)
    rows = [(run.labels | _cheap(run), pairs.compare(run.answers(SUP), alone.answers(BASE))) for run, alone in runs]
    against = [
        (run.labels | {"arm": arm}, pairs.compare(answers, references[run.network].answers(BASE)))
        for run, alone in runs
        if run.network in references
        for arm, answers in (("alone", alone.answers(BASE)), ("with Sup-tickets", run.answers(SUP)))
        if arm != "alone" or run is alone
    ]
    table = pairs.frame(rows)
    tables = {"pairs": table} | ({"dense": pairs.frame(against)} if against else {})
    cheap = {"mean cheap ticket": words.spread("cheap")}
    parts = [
        words.comparisons(table, words.LABELS, "with Sup-tickets", "method alone", cheap),
        words.count(table),
    ]
    if against:
        parts += [
            "Against the dense network:",
            words.comparisons(tables["dense"], (*words.LABELS, "arm"), "sparse", "dense"),
        ]
    write(options, name, {}, tables, "\n\n".join(parts))


def _runs(
    options: Options, shown: Sequence[Panel], methods: Sequence[str], sparsities: Sequence[float]
) -> list[tuple[Run, Run]]:
    """Pairs every run with the one that has its base network: the same, except where cycles alone explore."""
    runs, exploring = find(options, shown, methods, sparsities), []
    staying = [method for method in methods if keeps_its_mask(TRANSFORMS[method])]
    if options.preset != OWN and staying:
        changes = {"superpose.explore": "gradient", "superpose.base": False}
        exploring = find(options, shown, staying, sparsities, "exploring", changes)
    both = []
    for run in runs:
        both.append((run, run))
        alike = [other for other in exploring if other.labels == run.labels]
        both += [(other._replace(method=f"{run.method}, exploring"), run) for other in alike]
    return both


def _cheap(run: Run) -> dict[str, float]:
    values = np.array(list(run.cheap_mean().values()))
    return {"cheap": float(values.mean()), "cheap_std": pairs.spread(values), "tickets": run.tickets}
