"""Table 5: long cycles and short ones.

Command: python -m experiments.sup_tickets.table5 --preset=demo
"""

from experiments.keeping import write
from experiments.options import OWN, Options
from experiments.sup_tickets import variants
from experiments.sup_tickets.paper import RESNET50, SMALL, SPARSITIES, VGG16, by_preset, main, panels
from experiments.sup_tickets.runs import Run

SHOWN = {**SMALL, "paper": (VGG16[1], RESNET50[1])}
CYCLES = {"demo": ("3ep", "1ep", "2ep", "5ep"), "cifar": ("2ep", "1ep", "4ep")}
PUBLISHED = ("8ep", "2ep", "4ep", "12ep")
"""The first is the config's own."""


def make(options: Options) -> None:
    """Measures and writes.

    Args:
      options: What was asked for.
    """
    shown = panels(options, SHOWN)
    own, *others = by_preset(options, CYCLES, PUBLISHED)
    changes = [("", {}), *((f"cycle_{cycle}", {"superpose.cycle": cycle}) for cycle in others)]
    sparsities = by_preset(options, SPARSITIES, variants.SPARSITIES)
    runs = variants.find_variants(options, shown, sparsities, changes)
    table = variants.compare(runs, "cycle", _cycle, own)
    write(
        options,
        "table5",
        {},
        {"pairs": table},
        variants.text(table, "cycle", "the first" if options.preset == OWN else f"cycle of {own}"),
    )


def _cycle(run: Run) -> str:
    return run.setup.config.superpose.cycle


if __name__ == "__main__":
    main(make, __doc__)
