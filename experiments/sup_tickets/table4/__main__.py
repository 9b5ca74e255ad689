"""The command of Table 4."""

from experiments.sup_tickets.accuracy import table4
from experiments.sup_tickets.paper import main

main(table4)
