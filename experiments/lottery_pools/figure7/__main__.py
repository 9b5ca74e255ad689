"""Figure 7: a pool of three against the output ensemble of the same three tickets.

Command: python -m experiments.lottery_pools.figure7 --preset=demo
"""

from experiments.lottery_pools.comparison import comparison
from experiments.lottery_pools.paper import main
from experiments.lottery_pools.runs import all_tickets
from experiments.options import Options
from lpjax.run import run_stages
from lpjax.run.connectivity import ensembles_stage, nearest_members
from lpjax.run.pools import Search

MEMBERS = 3
ENSEMBLES = {"ensemble_logits": "logits", "ensemble_probabilities": "probabilities"}
POOL = f"interpolation_of_{MEMBERS}"


def make(options: Options) -> None:
    """Measure, draw and write."""
    runs = all_tickets(options)
    for run in runs:
        members = nearest_members(range(run.levels), MEMBERS)
        stages = [ensembles_stage(run.workdir, seed, ENSEMBLES, members) for seed in run.seeds]
        run_stages(run.setup, run.workdir, stages)
    searches = {POOL: Search("interpolation", candidates=MEMBERS - 1)}
    questions = [(POOL, ensemble) for ensemble in ENSEMBLES]
    comparison(options, "figure7", runs, searches, others=tuple(ENSEMBLES), questions=questions)


if __name__ == "__main__":
    main(make, __doc__)
