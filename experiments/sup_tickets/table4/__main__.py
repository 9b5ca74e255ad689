"""Table 4: GraNet with Sup-tickets against the dense network.

Command: python -m experiments.sup_tickets.table4 --preset=demo
"""

from experiments.keeping import write
from experiments.options import Options
from experiments.sup_tickets import accuracy, pairs, words
from experiments.sup_tickets.paper import RESNET50, SMALL, SPARSITIES, VGG16, WIDE, by_preset, main, panels
from experiments.sup_tickets.runs import BASE, SUP, dense, find


def make(options: Options) -> None:
    """Measures and writes.

    Args:
      options: What was asked for.
    """
    shown = panels(options, {**SMALL, "paper": (*VGG16, *RESNET50, *WIDE)})
    runs = find(options, shown, ("granet",), by_preset(options, SPARSITIES, accuracy.PUBLISHED))
    references = dense(options, shown)
    rows = [
        (run.labels, pairs.compare(run.answers(SUP), references[run.network].answers(BASE)))
        for run in runs
        if run.network in references
    ]
    if not rows:
        raise ValueError("there is no dense network to compare with; give its --workdir too")
    table = pairs.frame(rows)
    text = words.comparisons(table, words.LABELS, "with Sup-tickets", "dense")
    write(options, "table4", {}, {"pairs": table}, f"{text}\n\n{words.count(table)}")


if __name__ == "__main__":
    main(make, __doc__)
