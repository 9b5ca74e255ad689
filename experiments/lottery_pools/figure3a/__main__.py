"""Figure 3a: tickets against their pools, interpolated and averaged.

Command: python -m experiments.lottery_pools.figure3a --preset=demo
"""

from experiments.lottery_pools.comparison import comparison
from experiments.lottery_pools.paper import main
from experiments.lottery_pools.runs import tickets
from experiments.options import Options
from lpjax.run.pools import Search

POOLS = ("interpolation", "average")


def make(options: Options) -> None:
    """Measures, draws and writes.

    Args:
      options: What was asked for.
    """
    runs = [tickets(options, panel) for panel in options.panels]
    for run in runs:
        run.build({method: Search(method) for method in ("recalibrated", *POOLS)})
    comparison(options, "figure3a", runs, ("ticket", *POOLS), questions=[("interpolation", "average")])


if __name__ == "__main__":
    main(make, __doc__)
