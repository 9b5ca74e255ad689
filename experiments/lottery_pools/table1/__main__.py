"""Table 1: what tickets, output ensembles and pools cost at inference, measured.

Command: python -m experiments.lottery_pools.table1 --preset=demo
"""

import jax
import jax.numpy as jnp
import pandas as pd

from experiments.benchmarks.timing import medians
from experiments.keeping import write
from experiments.lottery_pools.paper import main
from experiments.lottery_pools.runs import tickets
from experiments.options import Options
from lpjax import pools, sparsity
from lpjax.run.evaluate import predict
from lpjax.run.pools import Search, load_ticket
from lpjax.store import paths

MEMBERS, ROUNDS = 3, 15


def make(options: Options) -> None:
    """Measures and writes.

    Args:
      options: What was asked for.
    """
    rows = [row for panel in options.panels for row in _costs(options, panel)]
    lines = [
        "| network | method | networks run | seconds for the test split | ratio | weights held |",
        "|---|---|---|---|---|---|",
        *(
            f"| {row['panel']} | {row['method']} | {row['networks']} | {row['seconds']:.4f} | {row['ratio']:.2f} | "
            f"{row['kept']:,} |"
            for row in rows
        ),
    ]
    write(options, "table1", {}, {"costs": pd.DataFrame(rows)}, "\n".join(lines))


def _costs(options: Options, panel) -> list[dict]:
    """Times the middle level of the first seed, a pool around it, and the ensemble of the two and a neighbor."""
    run = tickets(options, panel)
    run.build({"interpolation": Search("interpolation")})
    setup = run.setup
    test = setup.data.test
    anchor = run.levels // 2
    seed = run.seeds[0]
    levels = [anchor, *pools.neighbors(anchor, range(run.levels))[: MEMBERS - 1]]
    members = [load_ticket(setup, paths.level(run.workdir, seed, level)) for level in levels]
    pool = load_ticket(setup, paths.pool(run.workdir, seed, "interpolation", anchor))
    ticket = jax.device_put(members[0].params)
    pooled = jax.device_put(pool.params)
    together = [jax.device_put(member.params) for member in members]

    def vote() -> jax.Array:
        return pools.ensemble(jnp.stack([predict(setup, variables, test) for variables in together]))

    ensemble = f"ensemble of {MEMBERS}"
    calls = {
        "ticket": lambda: predict(setup, ticket, test),
        "pool (interpolation)": lambda: predict(setup, pooled, test),
        ensemble: vote,
    }
    seconds = medians(calls, ROUNDS)
    kept = {
        "ticket": int(sparsity.kept(members[0].mask, setup.network.prunable)),
        "pool (interpolation)": int(sparsity.kept(pool.mask, setup.network.prunable)),
        ensemble: sum(int(sparsity.kept(member.mask, setup.network.prunable)) for member in members),
    }
    return [
        {
            "panel": panel.title,
            "method": name,
            "networks": MEMBERS if name == ensemble else 1,
            "seconds": seconds[name],
            "ratio": seconds[name] / seconds["ticket"],
            "kept": kept[name],
        }
        for name in seconds
    ]


if __name__ == "__main__":
    main(make, __doc__)
