"""The command of Table 6."""

from experiments.sup_tickets.paper import main
from experiments.sup_tickets.uncertainty import table6

main(table6)
