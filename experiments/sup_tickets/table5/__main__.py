"""The command of Table 5."""

from experiments.sup_tickets import paper, variants

paper.main(variants.table5)
