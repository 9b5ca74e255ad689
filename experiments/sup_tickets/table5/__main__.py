"""The command of Table 5."""

from experiments.sup_tickets.paper import main
from experiments.sup_tickets.variants import table5

main(table5)
