"""Every figure and table of Lottery Pools, one after another, in one process.

Command: python -m experiments.lottery_pools --preset=demo
"""

import importlib
import time

from experiments.lottery_pools.keeping import main
from experiments.lottery_pools.options import Options

EXPERIMENTS = (
    *("table2", "figure3a", "figure3b", "figure3c", "figure4", "figure5", "figure6", "figure7"),
    *("figure1", "figure2", "table1"),
)


def make(options: Options) -> None:
    """Makes all that the preset has.

    Args:
      options: What was asked for.
    """
    for name in EXPERIMENTS:
        clock = time.monotonic()
        importlib.import_module(f"experiments.lottery_pools.{name}.__main__").make(options)
        print(f"{name}: {time.monotonic() - clock:.0f} s", flush=True)


if __name__ == "__main__":
    main(make, __doc__)
