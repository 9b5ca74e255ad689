"""Figure 4: pools of few candidates and of many.

Command: python -m experiments.lottery_pools.figure4 --preset=demo
"""

from experiments.lottery_pools.comparison import comparison
from experiments.lottery_pools.paper import main
from experiments.lottery_pools.runs import Run, as_published, tickets
from experiments.options import Options
from lpjax.run.pools import Search


def counts(levels: int) -> list[int]:
    """Chooses how many candidates to try: a sixth and four ninths of all, as the paper's 3 and 8 of 18.

    Args:
      levels: Tickets there are.

    Returns:
      Counts, all of them left out.
    """
    everything = levels - 1
    return sorted({max(1, round(everything / 6)), max(1, round(everything * 4 / 9))} - {everything})


def make(options: Options) -> None:
    """Measures, draws and writes.

    Args:
      options: What was asked for.
    """
    runs = [tickets(options, panel) for panel in options.panels]
    arms = [_arms(run) for run in runs]
    for run, searches in zip(runs, arms, strict=True):
        run.build(searches)
    *fewer, everything = dict.fromkeys(name for searches in arms for name in searches)
    questions, labels = [(everything, few) for few in fewer], {everything: "pool of all candidates"}
    comparison(options, "figure4", runs, ("ticket", *fewer, everything), questions=questions, labels=labels)


def _arms(run: Run) -> dict[str, Search]:
    """Gives the searches from few candidates to all, which comes last."""
    everything = as_published(run, f"candidates_{run.levels - 1}")
    (published,) = everything.values()
    return {f"candidates_{n}": published._replace(candidates=n) for n in counts(run.levels)} | everything


if __name__ == "__main__":
    main(make, __doc__)
