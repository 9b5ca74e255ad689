"""Figure 5: pools that choose among few coefficients and among many.

Command: python -m experiments.lottery_pools.figure5 --preset=demo
"""

from experiments.lottery_pools.keeping import comparison, main
from experiments.lottery_pools.setting import Options, tickets
from lpjax.run.pool import search

COEFFICIENTS = {
    "coefficients_3": (0.05, 0.5, 0.95),
    "coefficients_7": (0.05, 0.1, 0.3, 0.5, 0.7, 0.9, 0.95),
}

LABELS = {"average": "pool (1 coefficient)", "interpolation": "pool (11 coefficients)"}


def make(options: Options) -> None:
    """Measures, draws and writes.

    Args:
      options: What was asked for.
    """
    runs = [tickets(options, panel) for panel in options.panels]
    for run in runs:
        fewer = {name: search(run.job, "interpolation", coefficients=chosen) for name, chosen in COEFFICIENTS.items()}
        run.build({"average": search(run.job, "average"), **fewer, "interpolation": search(run.job, "interpolation")})
    comparison(options, "figure5", runs, ("ticket", "average", *COEFFICIENTS, "interpolation"), labels=LABELS)


if __name__ == "__main__":
    main(make, __doc__)
