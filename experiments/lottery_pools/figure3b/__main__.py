"""Figure 3b: pools against weight averaging without selection, SWA and EMA.

Command: python -m experiments.lottery_pools.figure3b --preset=demo
"""

from experiments.lottery_pools.comparison import comparison
from experiments.lottery_pools.paper import main
from experiments.lottery_pools.runs import tickets
from experiments.options import Options
from lpjax.run.pools import Search

MERGED = ("interpolation", "swa", "ema_decay", "ema_newest")


def make(options: Options) -> None:
    """Measures, draws and writes.

    Args:
      options: What was asked for.
    """
    runs = [tickets(options, panel) for panel in options.panels]
    for run in runs:
        run.build({method: Search(method) for method in MERGED})
    questions = [("interpolation", other) for other in MERGED[1:]]
    comparison(options, "figure3b", runs, ("ticket", *MERGED), questions=questions)


if __name__ == "__main__":
    main(make, __doc__)
