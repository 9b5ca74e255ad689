"""Every setting of a config: its default, what it may be, one line of help. All else about settings follows from here.

`default_config`, checking, suggestions, `config.json`, `python -m lpjax.main --help` and docs/settings.md read this
table. A new setting is one entry here; a new choice of a setting is one line in the table of whatever implements it.
"""

import re
from collections.abc import Callable, Collection, Iterable
from typing import Any, Literal, NamedTuple

from lpjax import data, models, pools, sparsity, tickets, train, transforms
from lpjax.choices import one_of
from lpjax.errors import UserError

Use = Literal["result", "grows", "free"]

PRUNABLE = {"convolutions": sparsity.convolution_kernels, "kernels": sparsity.kernels}
SCORES: dict[str, Callable[[Any], tickets.Score]] = {
    "magnitude": lambda key: tickets.by_magnitude,
    "random": tickets.random_score,
}
"""Scores of iterative pruning, by what makes them from the seed's key."""
ALLOCATE = {"erk": sparsity.erk, "uniform": sparsity.uniform}
CORRUPTIONS = {"none": (), "benchmark": data.BENCHMARK, "all": (*data.BENCHMARK, *data.EXTRA)}
DENSE = "dense"
"""The method of sparse training that prunes nothing."""


class Kind(NamedTuple):
    """What a setting may be.

    Attributes:
      expected: In words, behind "expected".
      accepts: Whether a value is one.
      names: Where the value must be a name, or several, the names there are.
    """

    expected: str
    accepts: Callable[[Any], bool]
    names: Callable[[], Iterable[str]] | None = None


class Setting(NamedTuple):
    """One field of a config.

    Attributes:
      default: Its value in `default_config()`.
      kind: What it may be.
      help: One line.
      use: `"result"`: it decides results, and a work directory holds one value. `"grows"`: it lists what a work
        directory holds; later calls may add to it. `"free"`: it may differ from call to call; it changes results by no
        more than the order of floating-point sums.
    """

    default: Any
    kind: Kind
    help: str
    use: Use = "result"

    def problem(self, field: str, value: Any) -> str | None:
        """Say in one line what is wrong with a value, if anything is."""
        try:
            accepted = self.kind.accepts(value)
        except TypeError:  # of values that cannot be hashed, such as a list in a list
            accepted = False
        if accepted:
            return None
        names = [value] if isinstance(value, str) else value
        if self.kind.names and isinstance(names, tuple | list):
            for name in names:
                try:
                    one_of(field, name, self.kind.names())
                except UserError as error:
                    return str(error)
        return f"{field}: got {value!r}, expected {self.kind.expected}"


def is_number(value: Any) -> bool:
    """Tell whether a value is an integer or a float, and no bool."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def name_in(names: Collection[str]) -> Kind:
    """Describe a name of a table; names that are added to the table later are known too."""

    def accepts(value: Any) -> bool:
        return isinstance(value, str) and value in names

    return Kind(f"one of {', '.join(map(repr, names))}", accepts, lambda: names)


def names_in(names: Collection[str], table: str) -> Kind:
    """Describe several different names of a table, which is called by its import path."""

    def accepts(value: Any) -> bool:
        return isinstance(value, tuple | list) and len(set(value)) == len(value) and set(value) <= set(names)

    return Kind(f"different names of {table}", accepts, lambda: names)


def integer(least: int) -> Kind:
    """Describe an integer that is not below a limit."""

    def accepts(value: Any) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and value >= least

    return Kind(f"an integer of at least {least}", accepts)


def number(interval: str) -> Kind:
    """Describe a number of an interval such as `"[0, 1)"` or `"(0, inf)"`."""
    low, high = map(float, interval[1:-1].split(","))

    def accepts(value: Any) -> bool:
        if not is_number(value):
            return False
        above = value > low if interval[0] == "(" else value >= low
        below = value < high if interval[-1] == ")" else value <= high
        return above and below

    return Kind(f"a number in {interval}", accepts)


def duration(least: int = 0) -> Kind:
    """Describe a number of epochs or steps."""

    def accepts(value: Any) -> bool:
        try:
            return train.steps(value, 1) >= least
        except (ValueError, TypeError):
            return False

    at_least = f" of at least {least}" if least else ""
    return Kind(f"a duration{at_least} such as '9ep' (epochs) or '500it' (steps)", accepts)


def is_rewind(value: Any) -> bool:
    """Tell whether a value names a rewind point."""
    return value == "final" or DURATION.accepts(value)


def is_prunable(value: Any) -> bool:
    """Tell whether a value says which leaves may be pruned."""
    if value in PRUNABLE:
        return True
    if not (isinstance(value, str) and value.startswith("path:")):
        return False
    try:
        re.compile(value.removeprefix("path:"))
    except re.error:
        return False
    return True


def is_model(value: Any) -> bool:
    """Tell whether a value is a callable, an import path, or the name of a network."""
    return callable(value) or (isinstance(value, str) and (":" in value or value in models.MODELS))


def is_method(value: Any) -> bool:
    """Tell whether a value names a method of sparse training, or none."""
    return value in ("none", DENSE) or value in transforms.METHODS


def is_seeds(value: Any) -> bool:
    """Tell whether a value lists different seeds."""
    if not isinstance(value, tuple | list) or not value or len(set(value)) < len(value):
        return False
    return all(integer(0).accepts(seed) and seed < 2**32 for seed in value)


def all_of(kind: Kind, least: int = 0, most: int = 2**31) -> Callable[[Any], bool]:
    """Accept sequences whose elements are all of a kind."""

    def accepts(value: Any) -> bool:
        return isinstance(value, tuple | list) and least <= len(value) <= most and all(map(kind.accepts, value))

    return accepts


def is_range(most: float) -> Callable[[Any], bool]:
    """Accept two numbers above 0, the smaller one first."""

    def accepts(value: Any) -> bool:
        return all_of(number("(0, inf)"), 2, 2)(value) and value[0] <= value[1] <= most

    return accepts


def is_budget(value: Any) -> bool:
    """Tell whether a value is a number of images, as text, or `'full'`."""
    return value == "full" or (isinstance(value, str) and value.isdigit() and int(value) > 0)


TEXT = Kind("a text", lambda value: isinstance(value, str))
SWITCH = Kind("True or False", lambda value: isinstance(value, bool))
DURATION = duration()
FRACTION = number("[0, 1)")
PRUNABLE_KIND = Kind("'convolutions', 'kernels' or 'path:' and a regular expression", is_prunable)
COEFFICIENTS = Kind("one or more numbers in [0, 1]", all_of(number("[0, 1]"), 1))

SETTINGS: dict[str, Setting] = {
    "seeds": Setting((0,), Kind("one or more different integers from 0 on", is_seeds), "one replicate each", "grows"),
    "dataset": Setting(
        "cifar10", TEXT, "'digits', 'cifar10', 'cifar100', or any image classification data set of TFDS"
    ),
    "data_dir": Setting("", TEXT, "the folder of TFDS data sets; empty for TFDS's default", "free"),
    "validation": Setting(5000, integer(1), "images held out at the end of the training split"),
    "train_images": Setting(0, integer(0), "train on the first N of the others; 0 for all"),
    "augment.crop": Setting(4, integer(0), "pixels of padding before random crops"),
    "augment.pad": Setting("zero", name_in(data.PADS), "what the padding is filled with"),
    "augment.flip": Setting(True, SWITCH, "mirror images at random"),
    "model": Setting(
        "resnet18",
        Kind("a name of lpjax.models.MODELS, a callable, or 'module:name' of one", is_model, lambda: models.MODELS),
        "the network: a name, or your own Flax module as a callable or 'module:name'",
    ),
    "width": Setting(
        0,
        Kind("an even integer of at least 0", lambda value: integer(0).accepts(value) and value % 2 == 0),
        "channels of the first stage; 0 for the architecture's own",
    ),
    "dtype": Setting(
        "auto", name_in(("auto", "float32", "bfloat16")), "of the computation; 'auto' is bfloat16 except on CPUs"
    ),
    "eval_batch_size": Setting(500, integer(1), "images per batch of evaluations", "free"),
    "save_every": Setting("1000it", duration(1), "between checkpoints of training", "free"),
    "time_images": Setting(0, integer(0), "time a batch of so many images, dense and shrunk; 0: do not", "free"),
    "tensorboard": Setting(False, SWITCH, "write event files beside every metrics.jsonl", "free"),
    "distributed": Setting(
        "auto", TEXT, "one process per host: 'auto' (TPU VMs, SLURM, MPI), 'none', 'HOST:PORT,COUNT,INDEX'", "free"
    ),
    "stream.size": Setting(
        0, integer(0), "read images while training, cropped to so many pixels; 0: hold them in memory"
    ),
    "stream.resize": Setting(256, integer(1), "pixels of the shorter side before the center crop of evaluations"),
    "stream.area": Setting(
        (0.1, 1.0),
        Kind("two numbers in (0, 1], the smaller first", is_range(1.0)),
        "share of a training image per crop",
    ),
    "stream.ratio": Setting(
        (0.8, 1.25), Kind("two numbers above 0, the smaller first", is_range(float("inf"))), "width by height of a crop"
    ),
    "stream.workers": Setting(0, integer(0), "processes per host that decode, started every epoch; 0: threads", "free"),
    "stream.prefetch": Setting(2, integer(1), "batches read ahead", "free"),
    "train.duration": Setting("182ep", duration(1), "of a training"),
    "train.batch_size": Setting(128, integer(1), "images per step, over all devices"),
    "train.learning_rate": Setting(0.1, number("(0, inf)"), "at its highest"),
    "train.schedule": Setting("step", name_in(train.SCHEDULES), "of the learning rate"),
    "train.milestones": Setting(
        ("91ep", "136ep"), Kind("a tuple of durations", all_of(DURATION)), "when 'step' multiplies by train.decay"
    ),
    "train.decay": Setting(0.1, number("[0, inf)"), "factor at every milestone"),
    "train.warmup": Setting("0ep", DURATION, "linear from 0 to the learning rate"),
    "train.momentum": Setting(0.9, FRACTION, "of SGD"),
    "train.weight_decay": Setting(1e-4, number("[0, inf)"), "of SGD, added to gradients"),
    "train.label_smoothing": Setting(0.0, FRACTION, "probability shared by all classes"),
    "train.steps_per_dispatch": Setting(
        1, integer(1), "steps per call of the device; more pays on GPU and TPU", "free"
    ),
    "imp.levels": Setting(19, integer(1), "tickets, the dense level 0 included"),
    "imp.prune_fraction": Setting(0.2, number("(0, 1)"), "of the kept weights, per level"),
    "imp.rewind": Setting(
        "9ep", Kind("a duration, or 'final'", is_rewind), "what levels restart from; 'final': learning-rate rewinding"
    ),
    "imp.prunable": Setting("convolutions", PRUNABLE_KIND, "which leaves may be pruned"),
    "imp.scope": Setting("global", name_in(tickets.SCOPES), "whether layers compete"),
    "imp.score": Setting("magnitude", name_in(SCORES), "the smallest are pruned"),
    "imp.count_rule": Setting("torch", name_in(tickets.RULES), "how the number of kept weights is rounded"),
    "imp.ticket": Setting("best", name_in(("best", "last")), "the weights kept: best on validation, or last"),
    "imp.mask_from": Setting("last", name_in(("last", "ticket")), "the weights that are pruned for the next level"),
    "imp.dense": Setting(
        "whole", name_in(("whole", "rewound")), "level 0 in one training, or from the rewind point too (OpenLTH)"
    ),
    "imp.tickets_from": Setting("", TEXT, "a folder of tickets found elsewhere, instead of training; empty to train"),
    "sparse.method": Setting(
        "none",
        Kind(f"'none', '{DENSE}' or a name of lpjax.transforms.METHODS", is_method, lambda: transforms.METHODS),
        "sparse training from the start instead; 'none': tickets by iterative pruning",
    ),
    "sparse.density": Setting(0.05, number("(0, 1]"), "at the end, of the prunable weights"),
    "sparse.every": Setting("1000it", duration(1), "between mask updates"),
    "sparse.until": Setting(
        1.0, number("[0, 1]"), "share of ordinary training (of a base network: of all) with updates"
    ),
    "sparse.drop_fraction": Setting(0.5, FRACTION, "of the kept weights, per mask update"),
    "sparse.drop_schedule": Setting("constant", name_in(("constant", "cosine")), "of sparse.drop_fraction"),
    "sparse.initial_density": Setting(0.5, number("(0, 1]"), "of 'granet'"),
    "sparse.prune_until": Setting("110ep", DURATION, "when 'granet', 'gmp' and '2:4' reach the final density"),
    "sparse.allocate": Setting("erk", name_in(ALLOCATE), "how methods with mask updates divide weights among layers"),
    "sparse.prunable": Setting("kernels", PRUNABLE_KIND, "which leaves may be pruned"),
    "superpose.averages": Setting(
        ("cia",), names_in(pools.KINDS, "lpjax.pools.KINDS"), "what is made of the cheap tickets", "grows"
    ),
    "superpose.share": Setting(0.1, FRACTION, "of training, for cycles; 0 for a base network alone"),
    "superpose.cycle": Setting("8ep", duration(1), "one cheap ticket each"),
    "superpose.low": Setting(0.001, number("(0, inf)"), "smallest learning rate of a cycle"),
    "superpose.high": Setting(0.005, number("(0, inf)"), "largest learning rate of a cycle"),
    "superpose.shape": Setting("triangle", name_in(train.SHAPES), "of the learning rate in a cycle"),
    "superpose.explore": Setting(
        "method", name_in(("method", "gradient", "none")), "at the start of cycles: as the method does, or by gradient"
    ),
    "superpose.drop_fraction": Setting(0.5, FRACTION, "of the kept weights, at the start of every cycle"),
    "superpose.decay": Setting(0.8, number("[0, 1)"), "of 'cima': the weight of the average so far"),
    "superpose.prune": Setting("step", name_in(("step", "end")), "after every ticket, or at the end"),
    "superpose.scope": Setting("global", name_in(("global", "layerwise")), "whether layers compete"),
    "superpose.stats": Setting("average", name_in(("average", "recalibrate")), "BatchNorm statistics of averages"),
    "superpose.first": Setting("cycle", name_in(("cycle", "phase")), "'phase': average the weights before cycle 1 too"),
    "superpose.base": Setting(True, SWITCH, "train the base network too", "free"),
    "superpose.ensemble": Setting(False, SWITCH, "evaluate the tickets' output ensemble too", "free"),
    "pool.methods": Setting(
        pools.STANDARD,
        names_in(pools.METHODS, "lpjax.pools.METHODS"),
        "which pools are built around every ticket",
        "grows",
    ),
    "pool.coefficients": Setting(pools.INTERPOLATION, COEFFICIENTS, "weights of the candidate, for 'interpolation'"),
    "pool.coarse_stride": Setting(
        3,
        integer(1),
        "of 'interpolation': first try every n-th coefficient, then those near the best; the paper tries all, 1",
    ),
    "pool.candidates": Setting(0, integer(0), "number of tickets tried, the nearest first; 0 for all"),
    "pool.accept": Setting(
        ">=", name_in(pools.ACCEPT), "of 'interpolation' and 'average': the paper has '>=', its code '>'"
    ),
    "pool.prune": Setting(
        "during", name_in(pools.PRUNE), "of 'interpolation' and 'average': prune every mix, or only the final pool"
    ),
    "pool.recalibrate": Setting(
        "4096", Kind("a number of images, as a text, or 'full'", is_budget), "training images for BatchNorm statistics"
    ),
    "pool.recalibration_batches": Setting(
        "shared",
        name_in(pools.RECALIBRATION_BATCHES),
        "of 'interpolation' and 'average': one draw of images per anchor, or per mix",
    ),
    "pool.rank_by": Setting(
        "batch_statistics",
        name_in(("recalibrated", "batch_statistics")),
        "of 'interpolation': rank mixes by batch statistics and recalibrate the best; the paper recalibrates every mix",
    ),
    "pool.rank_images": Setting(
        0, integer(0), "with pool.rank_by='batch_statistics': rank on the first N validation images; 0 for all"
    ),
    "pool.chunk": Setting(1, integer(1), "mixes evaluated at once; 1 is a loop", "free"),
    "pool.spread": Setting(
        "auto", name_in(("auto", "grid", "images")), "over devices: the grid of mixes, or the images of each", "free"
    ),
    "pool.start": Setting(
        (),
        Kind("numbers in [0, 1]", all_of(number("[0, 1]"))),
        "of 'reference': validation accuracy that each anchor starts from",
        "free",
    ),
    "corruptions.measure": Setting("none", name_in(CORRUPTIONS), "evaluate on corrupted test images too", "free"),
    "corruptions.dir": Setting("", TEXT, "published .npy files; empty for TFDS's, or images made here", "free"),
    "corruptions.images": Setting(0, integer(0), "the first N test images; 0 for all"),
}


def help_text() -> str:
    """List all settings with their defaults, as `python -m lpjax.main --help` shows them."""
    lines = []
    for field, setting in SETTINGS.items():
        lines.append(f"  --config.{field}={_shown(setting.default)}")
        lines.append(f"      {setting.help}; {setting.kind.expected}")
    return "\n".join(lines)


def table() -> str:
    """Write all settings as a Markdown table: the body of docs/settings.md."""
    rows = ["| setting | default | what it is | values |", "|---|---|---|---|"]
    for field, setting in SETTINGS.items():
        cells = [f"`{field}`", f"`{_shown(setting.default)}`", setting.help, setting.kind.expected]
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows) + "\n"


def _shown(value: Any) -> str:
    return repr(value).replace(" ", "")
