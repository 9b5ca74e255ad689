"""The command of Table 2."""

from experiments.lottery_pools.paper import main
from experiments.lottery_pools.tables import table2

main(table2)
