"""The command of Table 7."""

from experiments.sup_tickets import paper, variants

paper.main(variants.table7)
