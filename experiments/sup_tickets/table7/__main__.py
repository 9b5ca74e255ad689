"""The command of Table 7."""

from experiments.sup_tickets.paper import main
from experiments.sup_tickets.variants import table7

main(table7)
