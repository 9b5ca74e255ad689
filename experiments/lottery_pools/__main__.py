"""Every figure and table of Lottery Pools, one after another, in one process."""

from experiments.keeping import make_all
from experiments.lottery_pools import comparisons, connectivity, robustness, tables
from experiments.lottery_pools.paper import main
from experiments.options import Options

EXPERIMENTS = (
    tables.table2,
    comparisons.figure3a,
    comparisons.figure3b,
    robustness.figure3c,
    comparisons.figure4,
    comparisons.figure5,
    comparisons.figure6,
    comparisons.figure7,
    comparisons.controls,
    connectivity.figure1,
    connectivity.figure2,
    tables.table1,
)


def everything(options: Options) -> None:
    """Every figure and table of Lottery Pools, one after another, in one process."""
    make_all(options, EXPERIMENTS)


if __name__ == "__main__":
    main(everything)
