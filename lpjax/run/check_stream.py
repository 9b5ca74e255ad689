"""What is refused of images that are read while training, before any work begins."""

from ml_collections import ConfigDict


def check_stream(config: ConfigDict) -> None:
    """Refuses settings of streaming that cannot work, before anything is opened.

    Args:
      config: As the user wrote it.

    Raises:
      ValueError: In one line: what was got, what was wanted.
    """
    settings = config.stream
    if settings.resize < settings.size:
        raise ValueError(
            f"stream.resize is {settings.resize}, less than stream.size {settings.size}; give as much or more"
        )
    for field, most in {"area": 1.0, "ratio": float("inf")}.items():
        bounds = tuple(settings[field])
        if len(bounds) != 2 or not 0 < bounds[0] <= bounds[1] <= most:
            limit = " and at most 1" if field == "area" else ""
            raise ValueError(f"stream.{field} is {bounds}; give two numbers, the least first, above 0{limit}")
    if config.train.steps_per_dispatch > 1:
        raise ValueError(
            f"train.steps_per_dispatch is {config.train.steps_per_dispatch}, but streamed images come a batch at a "
            "time; give 1"
        )
    if config.pool.recalibrate == "full":
        raise ValueError(
            "pool.recalibrate is 'full', but streamed images do not fit in memory; give a number of them, as '4096'"
        )
    if "reference" in config.pool.methods:
        raise ValueError(
            "pool method 'reference' recalibrates on all training images in their stored order, which streamed ones do "
            "not come in; leave it out of pool.methods"
        )
    if config.corruptions.measure != "none":
        raise ValueError(
            f"corruptions.measure is {config.corruptions.measure!r}, but corruptions are those of images of 32x32 in "
            "memory; give 'none' with stream.size"
        )
