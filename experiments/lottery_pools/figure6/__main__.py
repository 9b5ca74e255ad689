"""Figure 6: pruning every mix of the search, or once after it.

Command: python -m experiments.lottery_pools.figure6 --preset=demo
"""

from experiments.lottery_pools.comparison import comparison
from experiments.lottery_pools.paper import main
from experiments.lottery_pools.runs import as_published, published_search, tickets
from experiments.options import Options


def make(options: Options) -> None:
    """Measures, draws and writes.

    Args:
      options: What was asked for.
    """
    runs = [tickets(options, panel) for panel in options.panels]
    names = []
    for run in runs:
        during = as_published(run, "prune_during")
        run.build(during | {"prune_after": published_search(prune="after")})
        names += during
    during = names[0]
    questions, labels = [(during, "prune_after")], {during: "pool (pruned during)"}
    comparison(options, "figure6", runs, ("ticket", during, "prune_after"), questions=questions, labels=labels)


if __name__ == "__main__":
    main(make, __doc__)
