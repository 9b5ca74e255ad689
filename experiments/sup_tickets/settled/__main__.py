"""A control: base networks whose masks are left alone as long as those of cheap tickets.

Command: python -m experiments.sup_tickets.settled --preset=demo
"""

from experiments.keeping import write
from experiments.options import OWN, Options
from experiments.sup_tickets import pairs, words
from experiments.sup_tickets.paper import RESNET50, SMALL, VGG16, main, panels, sparsities
from experiments.sup_tickets.runs import BASE, SUP, find
from lpjax.errors import UserError
from lpjax.run.schedule import sup_ticket_phases

METHODS = ("set", "rigl", "granet")


def make(options: Options) -> None:
    """Measure and write; not given work directories, which have no such control."""
    if options.preset == OWN:
        raise UserError("the control is trained beside a preset's runs; leave out --workdir")
    shown = panels(options, {**SMALL, "paper": (*VGG16, *RESNET50)})
    runs = find(options, shown, METHODS, sparsities(options))
    setup = runs[0].setup
    before = sup_ticket_phases(setup.config, setup.steps).before
    until = round(setup.config.sparse.until * before / setup.steps(setup.config.train.duration), 6)
    changes = {"sparse.until": until, "superpose.share": 0.0}
    alone = find(options, shown, METHODS, sparsities(options), "settled", changes)
    masks, tickets = [], []
    for run, settled in zip(runs, alone, strict=True):
        masks.append((run.labels, pairs.compare(settled.answers(BASE), run.answers(BASE))))
        tickets.append((run.labels, pairs.compare(run.answers(SUP), settled.answers(BASE))))
    tables = {"masks": pairs.frame(masks), "tickets": pairs.frame(tickets)}
    parts = [
        words.comparisons(tables["masks"], words.LABELS, "settled", "method alone"),
        words.count(tables["masks"]),
        words.comparisons(tables["tickets"], words.LABELS, "with Sup-tickets", "settled"),
        words.count(tables["tickets"]),
    ]
    write(options, "settled", {}, tables, "\n\n".join(parts))


if __name__ == "__main__":
    main(make, __doc__)
