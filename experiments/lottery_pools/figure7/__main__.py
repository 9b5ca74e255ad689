"""Figure 7: a pool of three against the output ensemble of the same three tickets.

Command: python -m experiments.lottery_pools.figure7 --preset=demo
"""

from functools import partial

from experiments.lottery_pools.comparison import comparison
from experiments.lottery_pools.paper import main
from experiments.lottery_pools.runs import tickets
from experiments.options import Options
from lpjax.run.analyze import evaluate_ensembles
from lpjax.run.pool import search

MEMBERS = 3
ENSEMBLES = {"ensemble_logits": "logits", "ensemble_probabilities": "probabilities"}
POOL = f"interpolation_of_{MEMBERS}"


def make(options: Options) -> None:
    """Measures, draws and writes.

    Args:
      options: What was asked for.
    """
    runs = [tickets(options, panel) for panel in options.panels]
    for run in runs:
        run.build({POOL: search(run.job, "interpolation", candidates=MEMBERS - 1)})
        run.analyze(partial(evaluate_ensembles, methods=ENSEMBLES, members=MEMBERS))
    questions = [(POOL, ensemble) for ensemble in ENSEMBLES]
    comparison(options, "figure7", runs, ("ticket", POOL, *ENSEMBLES), questions=questions)


if __name__ == "__main__":
    main(make, __doc__)
