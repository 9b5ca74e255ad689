"""Every figure and table of Sup-tickets, one after another, in one process.

Command: python -m experiments.sup_tickets --preset=demo
"""

from experiments.keeping import make_all
from experiments.options import OWN, Options
from experiments.sup_tickets.paper import main

EXPERIMENTS = (
    *("table1", "table2", "table3", "table4", "table5", "table6", "table7"),
    *("figure3", "figure4", "figure5", "settled"),
)
LEFT_OUT = {"demo": ("table2",), "cifar": ("table2",), OWN: ("settled",)}


def make(options: Options) -> None:
    """Makes all that the preset has.

    Args:
      options: What was asked for.
    """
    left_out = LEFT_OUT.get(options.preset, ())
    make_all(options, [name for name in EXPERIMENTS if name not in left_out])


if __name__ == "__main__":
    main(make, __doc__)
