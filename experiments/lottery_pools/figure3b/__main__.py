"""Figure 3b: pools against weight averaging without selection, SWA and EMA.

Command: python -m experiments.lottery_pools.figure3b --preset=demo
"""

from experiments.lottery_pools.comparison import comparison
from experiments.lottery_pools.paper import main
from experiments.lottery_pools.runs import all_tickets
from experiments.options import Options
from lpjax.run.pools import Search

OTHERS = ("swa", "ema_decay", "ema_newest")


def make(options: Options) -> None:
    """Measure, draw and write."""
    searches = {method: Search(method) for method in ("interpolation", *OTHERS)}
    questions = [("interpolation", other) for other in OTHERS]
    comparison(options, "figure3b", all_tickets(options), searches, questions=questions)


if __name__ == "__main__":
    main(make, __doc__)
