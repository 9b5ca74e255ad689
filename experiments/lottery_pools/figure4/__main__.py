"""Figure 4: pools of few candidates and of many.

Command: python -m experiments.lottery_pools.figure4 --preset=demo
"""

from experiments.lottery_pools.comparison import comparison
from experiments.lottery_pools.paper import main
from experiments.lottery_pools.runs import all_tickets, published_name, published_search
from experiments.options import Options


def counts(levels: int) -> list[int]:
    """Choose how many candidates to try of so many tickets: a sixth and four ninths, as the paper's 3 and 8 of 18."""
    everything = levels - 1
    return sorted({max(1, round(everything / 6)), max(1, round(everything * 4 / 9))} - {everything})


def make(options: Options) -> None:
    """Measure, draw and write."""
    runs = all_tickets(options)
    everything = published_name(runs, f"candidates_{runs[0].levels - 1}")
    fewer: list[str] = []
    for run in runs:
        searches = {f"candidates_{n}": published_search(candidates=n) for n in counts(run.levels)}
        fewer += [name for name in searches if name not in fewer]
        run.build(searches | {everything: published_search()})
    questions = [(everything, few) for few in fewer]
    labels = {everything: "pool of all candidates"}
    comparison(options, "figure4", runs, {}, others=(*fewer, everything), questions=questions, labels=labels)


if __name__ == "__main__":
    main(make, __doc__)
