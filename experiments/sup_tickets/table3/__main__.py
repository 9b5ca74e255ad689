"""The command of Table 3."""

from experiments.sup_tickets.costs import table3
from experiments.sup_tickets.paper import main

main(table3)
