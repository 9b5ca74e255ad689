"""Table 1: sparse training alone and with Sup-tickets, VGG-16.

Command: python -m experiments.sup_tickets.table1 --preset=demo
"""

from functools import partial

from experiments.sup_tickets import accuracy
from experiments.sup_tickets.paper import SMALL, VGG16, main

make = partial(accuracy.make, name="table1", of={**SMALL, "paper": VGG16}, published=("set", "rigl", "granet"))

if __name__ == "__main__":
    main(make, __doc__)
