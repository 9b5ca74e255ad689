"""Accuracy with Sup-tickets, against each method alone, the dense network and masks that settled."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from experiments.keeping import write
from experiments.options import OWN, Options, Panel
from experiments.sup_tickets import pairs, words
from experiments.sup_tickets.paper import RESNET50, SMALL, VGG16, WIDE, Panels, methods, panels, sparsities
from experiments.sup_tickets.runs import BASE, SUP, Run, dense, find
from lpjax.errors import UserError
from lpjax.run.config import keeps_its_mask
from lpjax.run.schedule import sup_ticket_phases
from lpjax.transforms import METHODS


def table1(options: Options) -> None:
    """Table 1: sparse training alone and with Sup-tickets, VGG-16."""
    with_and_without(options, "table1", {**SMALL, "paper": VGG16}, ("set", "rigl", "granet"))


def table2(options: Options) -> None:
    """Table 2: sparse training alone and with Sup-tickets, ResNet-50."""
    with_and_without(options, "table2", {"paper": RESNET50}, ("snip", "erk", "set", "rigl", "granet"))


def with_and_without(options: Options, name: str, of: Panels, published: Sequence[str]) -> None:
    """Write a table of every method alone and with Sup-tickets, and of both against the dense network."""
    shown = panels(options, of)
    runs = _runs(options, shown, methods(options, published))
    references = dense(options, shown)
    rows = []
    against = []
    for run, alone in runs:
        cheap = pairs.mean("cheap", np.array(list(run.cheap_mean().values())))
        labels = run.labels | cheap | {"tickets": run.tickets}
        rows.append(labels | pairs.compare(run.answers(SUP), alone.answers(BASE)))
        if run.network not in references:
            continue
        base = references[run.network].answers(BASE)
        if run is alone:
            against.append(run.labels | {"arm": "alone"} | pairs.compare(run.answers(BASE), base))
        against.append(run.labels | {"arm": "with Sup-tickets"} | pairs.compare(run.answers(SUP), base))
    tables = {"pairs": pd.DataFrame(rows)}
    if against:
        tables["dense"] = pd.DataFrame(against)
    write(options, name, {}, tables, describe_with_and_without)


def describe_with_and_without(tables: Mapping[str, pd.DataFrame], preset: str = "") -> str:
    """Write every method alone and with Sup-tickets, and against the dense network where there is one."""
    del preset
    column = {"mean cheap ticket": words.spread("cheap")}
    parts = [
        words.comparisons(tables["pairs"], words.LABELS, "with Sup-tickets", "method alone", column),
        words.count(tables["pairs"]),
    ]
    if "dense" in tables:
        parts.append("Against the dense network:")
        parts.append(words.comparisons(tables["dense"], (*words.LABELS, "arm"), "sparse", "dense"))
    return "\n\n".join(parts)


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


def table4(options: Options) -> None:
    """Table 4: GraNet with Sup-tickets against the dense network."""
    shown = panels(options, {**SMALL, "paper": (*VGG16, *RESNET50, *WIDE)})
    references = dense(options, shown)
    rows = []
    for run in find(options, shown, ("granet",), sparsities(options)):
        if run.network in references:
            base = references[run.network].answers(BASE)
            rows.append(run.labels | pairs.compare(run.answers(SUP), base))
    if not rows:
        raise UserError("there is no dense network to compare with; give its --workdir too")
    write(options, "table4", {}, {"pairs": pd.DataFrame(rows)}, describe_against_dense)


def describe_against_dense(tables: Mapping[str, pd.DataFrame], preset: str = "") -> str:
    """Write the comparisons with the dense network."""
    del preset
    text = words.comparisons(tables["pairs"], words.LABELS, "with Sup-tickets", "dense")
    return f"{text}\n\n{words.count(tables['pairs'])}"


def settled(options: Options) -> None:
    """A control: base networks whose masks are left alone as long as those of cheap tickets."""
    if options.preset == OWN:
        raise UserError("the control is trained beside a preset's runs; leave out --workdir")
    shown = panels(options, {**SMALL, "paper": (*VGG16, *RESNET50)})
    runs = find(options, shown, ("set", "rigl", "granet"), sparsities(options))
    setup = runs[0].setup
    before = sup_ticket_phases(setup.config, setup.steps).before
    until = round(setup.config.sparse.until * before / setup.steps(setup.config.train.duration), 6)
    changes = {"sparse.until": until, "superpose.share": 0.0}
    alone = find(options, shown, ("set", "rigl", "granet"), sparsities(options), "settled", changes)
    masks = []
    tickets = []
    for run, control in zip(runs, alone, strict=True):
        masks.append(run.labels | pairs.compare(control.answers(BASE), run.answers(BASE)))
        tickets.append(run.labels | pairs.compare(run.answers(SUP), control.answers(BASE)))
    tables = {"masks": pd.DataFrame(masks), "tickets": pd.DataFrame(tickets)}
    write(options, "settled", {}, tables, describe_settled)


def describe_settled(tables: Mapping[str, pd.DataFrame], preset: str = "") -> str:
    """Write what settled masks gain, and Sup-tickets beyond them."""
    del preset
    parts = [
        words.comparisons(tables["masks"], words.LABELS, "settled", "method alone"),
        words.count(tables["masks"]),
        words.comparisons(tables["tickets"], words.LABELS, "with Sup-tickets", "settled"),
        words.count(tables["tickets"]),
    ]
    return "\n\n".join(parts)
