"""The command of Table 1."""

from experiments.lottery_pools.paper import main
from experiments.lottery_pools.tables import table1

main(table1)
