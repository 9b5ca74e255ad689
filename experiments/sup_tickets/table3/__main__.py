"""The command of Table 3."""

from experiments.sup_tickets import costs, paper

paper.main(costs.table3)
