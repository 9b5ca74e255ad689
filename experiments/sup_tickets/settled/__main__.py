"""The command of the control of settled masks."""

from experiments.sup_tickets.accuracy import settled
from experiments.sup_tickets.paper import main

main(settled)
