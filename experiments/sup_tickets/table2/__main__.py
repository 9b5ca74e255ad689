"""The command of Table 2."""

from experiments.sup_tickets.accuracy import table2
from experiments.sup_tickets.paper import main

main(table2)
