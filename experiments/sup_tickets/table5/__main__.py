"""Table 5: long cycles and short ones.

Command: python -m experiments.sup_tickets.table5 --preset=demo
"""

from experiments.keeping import write
from experiments.options import OWN, Options, config_of
from experiments.sup_tickets import variants
from experiments.sup_tickets.paper import RESNET50, SMALL, SPARSITIES, VGG16, by_preset, main, panels
from experiments.sup_tickets.runs import Run

LENGTHS = (1 / 4, 1 / 2, 1, 3 / 2)
"""Of the config's own cycle, as the paper's 2, 4, 8 and 12 epochs."""


def make(options: Options) -> None:
    """Measures and writes.

    Args:
      options: What was asked for.
    """
    shown = panels(options, {**SMALL, "paper": (VGG16[1], RESNET50[1])})
    own = "" if options.preset == OWN else config_of(shown[0], "rigl,0.9").superpose.cycle
    cycles = [scaled(own, length) for length in LENGTHS] if own else []
    changes = [(f"cycle_{cycle}", {"cycle": cycle}) if cycle != own else ("", {}) for cycle in cycles]
    sparsities = by_preset(options, SPARSITIES, variants.SPARSITIES)
    runs = variants.find_variants(options, shown, sparsities, changes)
    table = variants.compare(runs, "cycle", _cycle, own)
    write(options, "table5", {}, {"pairs": table}, variants.text(table, "cycle", own or "the first"))


def scaled(duration: str, by: float) -> str:
    """Makes a duration longer or shorter.

    Args:
      duration: A whole number with its unit.
      by: The factor; what comes out must be a whole number.

    Returns:
      The duration, in the same unit.

    Raises:
      ValueError: If it is not whole.

    Example:
      >>> scaled('8ep', 1.5)
      '12ep'
    """
    number, unit = float(duration[:-2]) * by, duration[-2:]
    if number != int(number):
        raise ValueError(f"{by:g} of a cycle of {duration} is not whole; give a cycle of which it is")
    return f"{int(number)}{unit}"


def _cycle(run: Run) -> str:
    return run.job.config.superpose.cycle


if __name__ == "__main__":
    main(make, __doc__)
