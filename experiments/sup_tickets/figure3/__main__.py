"""The command of Figure 3."""

from experiments.sup_tickets.paper import main
from experiments.sup_tickets.variants import figure3

main(figure3)
