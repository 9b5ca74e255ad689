"""Table 7: shapes of the cyclical learning rate.

Command: python -m experiments.sup_tickets.table7 --preset=demo
"""

from experiments.keeping import write
from experiments.options import Options
from experiments.sup_tickets import variants
from experiments.sup_tickets.paper import RESNET50, SMALL, SPARSITIES, VGG16, by_preset, main, panels
from experiments.sup_tickets.runs import Run
from lpjax.train.cyclical import SHAPES

OURS = SHAPES[0]


def make(options: Options) -> None:
    """Measures and writes.

    Args:
      options: What was asked for.
    """
    shown = panels(options, {**SMALL, "paper": (VGG16[1], RESNET50[1])})
    changes = [(f"shape_{shape}", {"superpose.shape": shape}) if shape != OURS else ("", {}) for shape in SHAPES]
    sparsities = by_preset(options, SPARSITIES, variants.SPARSITIES)
    runs = variants.find_variants(options, shown, sparsities, changes)
    table = variants.compare(runs, "shape", _shape, OURS)
    write(options, "table7", {}, {"pairs": table}, variants.text(table, "shape", OURS))


def _shape(run: Run) -> str:
    return run.setup.config.superpose.shape


if __name__ == "__main__":
    main(make, __doc__)
