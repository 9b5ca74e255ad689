"""Table 4: GraNet with Sup-tickets against the dense network.

Command: python -m experiments.sup_tickets.table4 --preset=demo
"""

from experiments.keeping import write
from experiments.options import Options
from experiments.sup_tickets import pairs, words
from experiments.sup_tickets.paper import RESNET50, SMALL, VGG16, WIDE, main, panels, sparsities
from experiments.sup_tickets.runs import BASE, SUP, dense, find
from lpjax.errors import UserError


def make(options: Options) -> None:
    """Measure and write."""
    shown = panels(options, {**SMALL, "paper": (*VGG16, *RESNET50, *WIDE)})
    references = dense(options, shown)
    rows = []
    for run in find(options, shown, ("granet",), sparsities(options)):
        if run.network in references:
            base = references[run.network].answers(BASE)
            rows.append((run.labels, pairs.compare(run.answers(SUP), base)))
    if not rows:
        raise UserError("there is no dense network to compare with; give its --workdir too")
    table = pairs.frame(rows)
    text = words.comparisons(table, words.LABELS, "with Sup-tickets", "dense")
    write(options, "table4", {}, {"pairs": table}, f"{text}\n\n{words.count(table)}")


if __name__ == "__main__":
    main(make, __doc__)
