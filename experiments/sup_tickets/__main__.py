"""Every figure and table of Sup-tickets, one after another, in one process."""

from experiments.keeping import make_all
from experiments.options import OWN, Options
from experiments.sup_tickets import accuracy, costs, uncertainty, variants
from experiments.sup_tickets.paper import main

EXPERIMENTS = (
    accuracy.table1,
    accuracy.table2,
    costs.table3,
    accuracy.table4,
    variants.table5,
    uncertainty.table6,
    variants.table7,
    variants.figure3,
    variants.figure4,
    uncertainty.figure5,
    accuracy.settled,
)
LEFT_OUT = {
    "demo": accuracy.table2,
    "laptop": accuracy.table2,
    "cifar": accuracy.table2,
    OWN: accuracy.settled,
}


def everything(options: Options) -> None:
    """Every figure and table of Sup-tickets that the preset has, one after another, in one process."""
    make_all(options, [make for make in EXPERIMENTS if make is not LEFT_OUT.get(options.preset)])


if __name__ == "__main__":
    main(everything)
