"""What is refused of sparse training before any work begins."""

from ml_collections import ConfigDict

from lpjax import pools, sparsity, train, transforms
from lpjax.choices import one_of

DENSE = "dense"
STAYING = ("uniform", "erk", "snip")
"""Methods whose mask stays once it is drawn: they explore by gradient or not at all."""
ALLOCATE = {"erk": sparsity.erk, "uniform": sparsity.uniform}


def check_sparse(config: ConfigDict) -> None:
    """Refuses settings of sparse training that cannot work, before anything is loaded.

    Args:
      config: As the user wrote it.

    Raises:
      ValueError: In one line: what was got, what was wanted.
    """
    sparse, settings = config.sparse, config.superpose
    one_of("sparse.method", sparse.method, ("none", DENSE, *transforms.METHODS))
    one_of("sparse.drop_schedule", sparse.drop_schedule, ("constant", "cosine"))
    one_of("sparse.allocate", sparse.allocate, ALLOCATE)
    one_of("superpose.shape", settings.shape, train.SHAPES)
    one_of("superpose.explore", settings.explore, ("method", "gradient", "none"))
    one_of("superpose.stats", settings.stats, ("average", "recalibrate"))
    one_of("superpose.first", settings.first, ("cycle", "phase"))
    for average in settings.averages:
        one_of("superpose.averages", average, pools.KINDS, "; write several as \"('cia','caa')\"")
    if len(set(settings.averages)) < len(settings.averages):
        raise ValueError(f"superpose.averages names one twice: {', '.join(settings.averages)}")
    pools.superpose(decay=settings.decay, prune=settings.prune, scope=settings.scope)
    _numbers(config)
    _times(config)
    if settings.explore == "gradient" and sparse.method not in STAYING:
        raise ValueError(
            f"superpose.explore is 'gradient', which is for masks that stay ({', '.join(STAYING)}); "
            f"give 'method' for {sparse.method!r}"
        )
    if config.imp.tickets_from:
        raise ValueError("imp.tickets_from is for tickets found by iterative pruning; give sparse.method 'none', or ''")


def _numbers(config: ConfigDict) -> None:
    sparse, settings = config.sparse, config.superpose
    for field, value in {"density": sparse.density, "initial_density": sparse.initial_density}.items():
        if not 0 < value <= 1:
            raise ValueError(f"sparse.{field} is {value}; give a fraction in (0, 1]")
    if sparse.method == DENSE and sparse.density != 1:
        raise ValueError(f"sparse.method is 'dense', but sparse.density is {sparse.density}; give 1.0")
    if sparse.method == "2:4" and sparse.density != 0.5:
        raise ValueError(f"sparse.method '2:4' keeps half, but sparse.density is {sparse.density}; give 0.5")
    for field, value in {
        "sparse.drop_fraction": sparse.drop_fraction,
        "superpose.drop_fraction": settings.drop_fraction,
        "superpose.share": settings.share,
    }.items():
        if not 0 <= value < 1:
            raise ValueError(f"{field} is {value}; give a fraction in [0, 1)")
    if not 0 <= sparse.until <= 1:
        raise ValueError(f"sparse.until is {sparse.until}; give a share of ordinary training, in [0, 1]")
    if not 0 < settings.low <= settings.high:
        raise ValueError(f"superpose.low and high are {settings.low} and {settings.high}; give 0 < low <= high")


def check_duration(field: str, duration: str) -> int:
    """Refuses what is no duration, naming its field.

    Args:
      field: Of the config.
      duration: Its value.

    Returns:
      Its number, whatever its unit.

    Raises:
      ValueError: If it has no unit.
    """
    try:
        return train.steps(duration, 1)
    except ValueError as error:
        raise ValueError(f"{field}: {error}") from error


def _times(config: ConfigDict) -> None:
    sparse, settings = config.sparse, config.superpose
    for field, duration in {"sparse.every": sparse.every, "superpose.cycle": settings.cycle}.items():
        if check_duration(field, duration) < 1:
            raise ValueError(f"{field} is {duration!r}; give one epoch ('1ep'), one step ('1it') or more")
    check_duration("sparse.prune_until", sparse.prune_until)
    if not settings.base and not settings.share:
        raise ValueError("superpose.base is off and superpose.share 0: nothing is left to train; give one of them")
