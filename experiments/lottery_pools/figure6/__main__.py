"""Figure 6: pruning every mix of the search, or once after it.

Command: python -m experiments.lottery_pools.figure6 --preset=demo
"""

from experiments.lottery_pools.keeping import comparison, main
from experiments.lottery_pools.setting import Options, tickets
from lpjax.run.pool import search


def make(options: Options) -> None:
    """Measures, draws and writes.

    Args:
      options: What was asked for.
    """
    runs = [tickets(options, panel) for panel in options.panels]
    for run in runs:
        after = search(run.job, "interpolation", prune="after")
        run.build({"interpolation": search(run.job, "interpolation"), "prune_after": after})
    comparison(
        options,
        "figure6",
        runs,
        ("ticket", "interpolation", "prune_after"),
        labels={"interpolation": "pool (pruned during)"},
    )


if __name__ == "__main__":
    main(make, __doc__)
