"""Figure 5: pools that choose among few coefficients and among many.

Command: python -m experiments.lottery_pools.figure5 --preset=demo
"""

from experiments.lottery_pools.comparison import comparison
from experiments.lottery_pools.paper import main
from experiments.lottery_pools.runs import as_published, published_search, tickets
from experiments.options import Options

FEWER = {
    "coefficients_1": (0.5,),
    "coefficients_3": (0.05, 0.5, 0.95),
    "coefficients_7": (0.05, 0.1, 0.3, 0.5, 0.7, 0.9, 0.95),
}


def make(options: Options) -> None:
    """Measures, draws and writes.

    Args:
      options: What was asked for.
    """
    runs = [tickets(options, panel) for panel in options.panels]
    names = []
    for run in runs:
        published = as_published(run, "coefficients_11")
        fewer = {name: published_search(coefficients=chosen) for name, chosen in FEWER.items()}
        run.build(fewer | published)
        names += published
    eleven = names[0]
    questions = [(eleven, few) for few in FEWER]
    labels = {eleven: "pool (11 coefficients)", "coefficients_1": "pool (1 coefficient)"}
    comparison(options, "figure5", runs, ("ticket", *FEWER, eleven), questions=questions, labels=labels)


if __name__ == "__main__":
    main(make, __doc__)
