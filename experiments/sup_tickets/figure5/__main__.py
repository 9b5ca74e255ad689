"""The command of Figure 5."""

from experiments.sup_tickets.paper import main
from experiments.sup_tickets.uncertainty import figure5

main(figure5)
