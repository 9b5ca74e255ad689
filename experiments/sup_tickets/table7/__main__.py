"""Table 7: shapes of the cyclical learning rate.

Command: python -m experiments.sup_tickets.table7 --preset=demo
"""

from functools import partial

from experiments.sup_tickets import variants
from experiments.sup_tickets.paper import main
from lpjax.train.cyclical import SHAPES

make = partial(variants.make, name="table7", setting="shape", values=SHAPES, heading=SHAPES[0])

if __name__ == "__main__":
    main(make, __doc__)
