"""Costs and settings."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import pandas as pd

from experiments import markdown
from experiments.benchmarks.timing import medians
from experiments.keeping import write
from experiments.lottery_pools.runs import Run, all_tickets
from experiments.options import Options, Panel, config_of, config_panel
from lpjax import pools, sparsity
from lpjax.run.evaluate import predict
from lpjax.run.pools import Search
from lpjax.run.saved import load_ticket
from lpjax.store import paths

MEMBERS, ROUNDS = 3, 15
HEADINGS = ("network", "method", "networks run", "seconds for the test split", "ratio", "weights held")
IMAGENET = tuple(config_panel(f"ResNet-{n}, ImageNet", f"imagenet_resnet{n}") for n in (18, 34))


def table1(options: Options) -> None:
    """Table 1: what tickets, output ensembles and pools cost at inference, measured."""
    table = pd.DataFrame([row for run in all_tickets(options) for row in _costs(run)])
    write(options, "table1", {}, {"costs": table}, describe_costs)


def describe_costs(tables: Mapping[str, pd.DataFrame], preset: str = "") -> str:
    """Write what each way to infer costs, a row a network."""
    del preset
    cells = []
    for row in tables["costs"].itertuples():
        cells.append(
            (row.panel, row.method, str(row.networks), f"{row.seconds:.4f}", f"{row.ratio:.2f}", f"{row.kept:,}")
        )
    return markdown.table(HEADINGS, cells)


def _costs(run: Run) -> list[dict[str, Any]]:
    """Time the middle level of the first seed, a pool around it, and the ensemble of the two and a neighbor."""
    run.build({"interpolation": Search("interpolation")})
    setup = run.setup
    anchor = run.levels // 2
    seed = run.seeds[0]
    levels = [anchor, *pools.neighbors(anchor, range(run.levels))[: MEMBERS - 1]]
    members = [load_ticket(setup, paths.level(run.workdir, seed, level)) for level in levels]
    pool = load_ticket(setup, paths.pool(run.workdir, seed, "interpolation", anchor))
    groups = {"ticket": members[:1], "pool (interpolation)": [pool], f"ensemble of {MEMBERS}": members}
    on_device = {name: [jax.device_put(ticket.params) for ticket in group] for name, group in groups.items()}

    def classify(name: str) -> jax.Array:
        logits = [predict(setup, variables, setup.data.test) for variables in on_device[name]]
        return logits[0] if len(logits) == 1 else pools.ensemble(jnp.stack(logits))

    seconds = medians({name: lambda name=name: classify(name) for name in groups}, ROUNDS)
    rows = []
    for name, group in groups.items():
        rows.append(
            {
                "panel": run.title,
                "method": name,
                "networks": len(group),
                "seconds": seconds[name],
                "ratio": seconds[name] / seconds["ticket"],
                "kept": sum(int(sparsity.kept(ticket.mask, setup.network.prunable)) for ticket in group),
            }
        )
    return rows


def table2(options: Options) -> None:
    """Table 2: networks, data and training, as the configs have them; those of the paper with ImageNet."""
    panels = options.panels + (IMAGENET if options.preset == "paper" else ())
    rows = [_row(panel) for panel in panels]
    write(options, "table2", {}, {"settings": pd.DataFrame(rows)}, describe_settings)


def describe_settings(tables: Mapping[str, pd.DataFrame], preset: str = "") -> str:
    """Write the settings, a row a network."""
    del preset
    settings = tables["settings"].fillna("")
    return markdown.table(list(settings), [list(map(str, row)) for row in settings.itertuples(index=False)])


def _row(panel: Panel) -> dict:
    config = config_of(panel)
    train = config.train
    return {
        "network": config.model,
        "data": config.dataset,
        "duration": train.duration,
        "rewind": config.imp.rewind,
        "tickets": config.imp.levels,
        "prune fraction": config.imp.prune_fraction,
        "batch": train.batch_size,
        "learning rate": train.learning_rate,
        "milestones": " ".join(train.milestones),
        "warmup": train.warmup,
        "weight decay": train.weight_decay,
        "ticket": config.imp.ticket,
        "count rule": config.imp.count_rule,
        "prunable": config.imp.prunable,
        "validation images": config.validation,
    }
