"""Figure 5: pools that choose among few coefficients and among many.

Command: python -m experiments.lottery_pools.figure5 --preset=demo
"""

from experiments.lottery_pools.comparison import comparison
from experiments.lottery_pools.paper import main
from experiments.lottery_pools.runs import all_tickets, published_name, published_search
from experiments.options import Options

FEWER = {
    "coefficients_1": (0.5,),
    "coefficients_3": (0.05, 0.5, 0.95),
    "coefficients_7": (0.05, 0.1, 0.3, 0.5, 0.7, 0.9, 0.95),
}


def make(options: Options) -> None:
    """Measure, draw and write."""
    runs = all_tickets(options)
    eleven = published_name(runs, "coefficients_11")
    searches = {name: published_search(coefficients=chosen) for name, chosen in FEWER.items()}
    searches[eleven] = published_search()
    questions = [(eleven, few) for few in FEWER]
    labels = {eleven: "pool (11 coefficients)", "coefficients_1": "pool (1 coefficient)"}
    comparison(options, "figure5", runs, searches, questions=questions, labels=labels)


if __name__ == "__main__":
    main(make, __doc__)
