"""Table 2: networks, data and training, as the configs have them.

Command: python -m experiments.lottery_pools.table2 --preset=paper
"""

import pandas as pd

from experiments import markdown
from experiments.keeping import write
from experiments.lottery_pools.paper import main
from experiments.options import Options, Panel, config_of, config_panel

IMAGENET = tuple(config_panel(f"ResNet-{n}, ImageNet", f"imagenet_resnet{n}") for n in (18, 34))


def make(options: Options) -> None:
    """Read the configs, those of the paper with ImageNet, and write the table; nothing is run."""
    panels = options.panels + (IMAGENET if options.preset == "paper" else ())
    rows = [_row(panel) for panel in panels]
    text = markdown.table(list(rows[0]), [list(map(str, row.values())) for row in rows])
    write(options, "table2", {}, {"settings": pd.DataFrame(rows)}, text)


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


if __name__ == "__main__":
    main(make, __doc__)
