"""Figure 4: pools of few newcomers and of many.

Command: python -m experiments.lottery_pools.figure4 --preset=demo
"""

from experiments.lottery_pools.keeping import comparison, main
from experiments.lottery_pools.setting import Options, tickets
from lpjax.run.pool import search


def counts(levels: int) -> list[int]:
    """Chooses how many newcomers to try: a sixth and four ninths of all, as the paper's 3 and 8 of 18.

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
    for run in runs:
        fewer = {_name(n): search(run.job, "interpolation", newcomers=n) for n in counts(run.levels)}
        run.build(fewer | {"interpolation": search(run.job, "interpolation")})
    names = tuple(dict.fromkeys(_name(n) for run in runs for n in counts(run.levels)))
    comparison(
        options, "figure4", runs, ("ticket", *names, "interpolation"), labels={"interpolation": "pool of all newcomers"}
    )


def _name(newcomers: int) -> str:
    return f"newcomers_{newcomers}"


if __name__ == "__main__":
    main(make, __doc__)
