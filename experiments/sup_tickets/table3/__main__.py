"""Table 3: accuracy, and the FLOPs of training and inference, ResNet-50 on ImageNet.

Command: python -m experiments.sup_tickets.table3 --preset=paper
"""

from typing import Any

import numpy as np
import pandas as pd

from experiments.keeping import write
from experiments.options import Options
from experiments.sup_tickets import pairs, words
from experiments.sup_tickets.paper import IMAGENET, SMALL, main, methods, panels, sparsities
from experiments.sup_tickets.runs import BASE, CHEAP, SUP, Run, dense, find
from experiments.sup_tickets.table3.drawn import TRAINED, drawn

PUBLISHED = ("erk", "snip", "set", "dsr", "snfs", "rigl", "granet")


def make(options: Options) -> None:
    """Measure and write."""
    shown = panels(options, {**SMALL, "paper": IMAGENET})
    runs = find(options, shown, methods(options, PUBLISHED), sparsities(options, (0.8, 0.9)))
    rows = [_row(run, BASE, "alone") for run in dense(options, shown).values()]
    for run in runs:
        rows.append(_row(run, BASE, "alone"))
        rows.append(_row(run, SUP, "with Sup-tickets"))
    table = pd.DataFrame(rows)
    columns = words.named((*words.LABELS, "arm")) | {
        "accuracy": words.spread("accuracy"),
        "FLOPs (train)": words.times("training_flops"),
        "FLOPs (test)": words.times("inference_flops"),
        "density": lambda row: f"{row['density']:.4f}",
    }
    masks = drawn()
    text = f"{words.table(table, columns)}\n\n{_words(masks)}"
    write(options, "table3", {}, {"costs": table, "drawn": masks}, text)


def _words(masks: pd.DataFrame) -> str:
    """Describe what ResNet-50 on ImageNet costs by the masks alone."""
    costs = {name: words.times(name) for name in ("inference", *TRAINED)}
    table = words.table(masks, words.named(("sparsity", "allocation")) | costs)
    return (
        f"ResNet-50 for ImageNet, {masks['dense'].iloc[0]:.4g} FLOPs an image when dense, by masks whose layers keep "
        f"the densities they are drawn with; nothing is trained for this:\n\n{table}"
    )


def _row(run: Run, made: str, arm: str) -> dict[str, Any]:
    """Return means over seeds; the FLOPs are those of the masks that training had, step by step."""
    accuracy = np.array(list(run.measured(made, "accuracy").values()))
    trained = BASE if made == BASE else CHEAP
    return {
        **run.labels,
        "arm": arm,
        "accuracy": float(accuracy.mean()),
        "accuracy_std": pairs.spread(accuracy),
        "seeds": len(accuracy),
        "training_flops": _mean(run.summary(trained, "training_flops")),
        "inference_flops": _mean(run.summary(made, "inference_flops")),
        "density": _mean(run.summary(made, "density")),
    }


def _mean(values: dict[int, float]) -> float:
    return float(np.mean(list(values.values())))


if __name__ == "__main__":
    main(make, __doc__)
