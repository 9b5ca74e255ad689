"""Table 2: sparse training alone and with Sup-tickets, ResNet-50.

Command: python -m experiments.sup_tickets.table2 --preset=paper
"""

from functools import partial

from experiments.sup_tickets import accuracy
from experiments.sup_tickets.paper import RESNET50, main

METHODS = ("snip", "erk", "set", "rigl", "granet")
make = partial(accuracy.make, name="table2", of={"paper": RESNET50}, published=METHODS)

if __name__ == "__main__":
    main(make, __doc__)
