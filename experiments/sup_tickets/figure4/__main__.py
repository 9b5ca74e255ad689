"""The command of Figure 4."""

from experiments.sup_tickets.paper import main
from experiments.sup_tickets.variants import figure4

main(figure4)
