"""Table 5: long cycles and short ones.

Command: python -m experiments.sup_tickets.table5 --preset=demo
"""

from experiments.options import OWN, Options
from experiments.sup_tickets import variants
from experiments.sup_tickets.paper import main

CYCLES = {"demo": ("3ep", "1ep", "2ep", "5ep"), "cifar": ("2ep", "1ep", "4ep")}
PUBLISHED = ("8ep", "2ep", "4ep", "12ep")
"""The first is the config's own."""


def make(options: Options) -> None:
    """Measure and write."""
    cycles = CYCLES.get(options.preset, PUBLISHED)
    heading = "the first" if options.preset == OWN else f"cycle of {cycles[0]}"
    variants.make(options, "table5", "cycle", cycles, heading)


if __name__ == "__main__":
    main(make, __doc__)
