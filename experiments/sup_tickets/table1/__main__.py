"""The command of Table 1."""

from experiments.sup_tickets.accuracy import table1
from experiments.sup_tickets.paper import main

main(table1)
