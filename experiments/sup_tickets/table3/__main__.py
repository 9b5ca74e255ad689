"""Table 3: accuracy, and the FLOPs of training and inference, ResNet-50 on ImageNet.

Command: python -m experiments.sup_tickets.table3 --preset=paper
"""

import numpy as np
import pandas as pd

from experiments.keeping import write
from experiments.options import Options
from experiments.sup_tickets import pairs, words
from experiments.sup_tickets.paper import IMAGENET, METHODS, SMALL, SPARSITIES, by_preset, main, panels
from experiments.sup_tickets.runs import BASE, SUP, Run, dense, find
from experiments.sup_tickets.table3.drawn import TRAINED, drawn

PUBLISHED, SPARSE = ("erk", "snip", "set", "dsr", "snfs", "rigl", "granet"), (0.8, 0.9)


def make(options: Options) -> None:
    """Measures and writes.

    Args:
      options: What was asked for.
    """
    shown = panels(options, {**SMALL, "paper": IMAGENET})
    methods = by_preset(options, METHODS, PUBLISHED)
    runs = find(options, shown, methods, by_preset(options, SPARSITIES, SPARSE))
    rows = [_row(run, BASE, "alone") for run in dense(options, shown).values()]
    rows += [_row(run, made, arm) for run in runs for made, arm in ((BASE, "alone"), (SUP, "with Sup-tickets"))]
    table = pd.DataFrame(rows)
    text = words.table(
        table,
        words.named((*words.LABELS, "arm"))
        | {
            "accuracy": words.spread("accuracy"),
            "FLOPs (train)": words.times("training_flops"),
            "FLOPs (test)": words.times("inference_flops"),
            "density": lambda row: f"{row['density']:.4f}",
        },
    )
    masks = drawn()
    write(options, "table3", {}, {"costs": table, "drawn": masks}, f"{text}\n\n{_words(masks)}")


def _words(masks: pd.DataFrame) -> str:
    """Tells what ResNet-50 on ImageNet costs by the masks alone."""
    costs = {name: words.times(name) for name in ("inference", *TRAINED)}
    table = words.table(masks, words.named(("sparsity", "allocation")) | costs)
    return (
        f"ResNet-50 for ImageNet, {masks['dense'].iloc[0]:.4g} FLOPs an image when dense, by masks whose layers keep "
        f"the densities they are drawn with; nothing is trained for this:\n\n{table}"
    )


def _row(run: Run, made: str, arm: str) -> dict:
    """Gives means over seeds; the FLOPs are those of the masks that training had, step by step."""
    accuracy = np.array(list(run.measured(made, "accuracy").values()))
    trained = BASE if made == BASE else "cheap"
    costs = {
        "training_flops": run.summary(trained, "training_flops"),
        "inference_flops": run.summary(made, "inference_flops"),
        "density": run.summary(made, "density"),
    }
    means = {name: float(np.mean(list(values.values()))) for name, values in costs.items()}
    spread = {"accuracy": float(accuracy.mean()), "accuracy_std": pairs.spread(accuracy), "seeds": len(accuracy)}
    return run.labels | {"arm": arm} | spread | means


if __name__ == "__main__":
    main(make, __doc__)
