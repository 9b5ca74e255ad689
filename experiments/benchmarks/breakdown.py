"""Where the time of a run goes: import, data, every kind of stage and the report, down to compiling and saving.

Compiling is what JAX reports of itself (`jax.monitoring`): tracing, lowering, and XLA or its cache. Saving is the time
that `commit` and checkpoints of training take of the thread that computes. The rest of a part is mostly arithmetic;
the parts add up to the total.

Command: python -m experiments.benchmarks.breakdown --config=digits_resnet8
"""

import functools
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

COLUMNS = ("seconds", "compiling", "saving", "the rest")


class Clock:
    """Seconds by part, and within each part those spent compiling and saving."""

    def __init__(self) -> None:
        """Start in no part."""
        self.part = "other"
        self.seconds: dict[tuple[str, str], float] = defaultdict(float)

    def timed(
        self, function: Callable[..., Any], column: str, part: Callable[..., str] | None = None
    ) -> Callable[..., Any]:
        """Time a function in a column of the part that `part` names from its arguments, or in which it is called."""

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            before = self.part
            if part is not None:
                self.part = part(*args)
            start = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                self.seconds[self.part, column] += time.perf_counter() - start
                self.part = before

        return call

    def on_event(self, event: str, seconds: float, **_: Any) -> None:
        """Count what JAX reports of compiling."""
        if event.startswith("/jax/core/compile/"):
            self.seconds[self.part, "compiling"] += seconds


def main(argv: list[str]) -> None:
    """Run a config in an empty work directory without a cache of programs, and print a row per part."""
    begin = time.perf_counter()
    from experiments.benchmarks.inputs import machine, parser
    from experiments.options import config_of, config_panel
    from lpjax import report, run
    from lpjax.run import stage, training

    clock = Clock()
    clock.seconds["import", "seconds"] = time.perf_counter() - begin
    arguments = parser(__doc__)
    arguments.add_argument("--config", default="digits_resnet8", help="a file of configs/, without .py")
    options = arguments.parse_args(argv)
    config = config_of(config_panel("", options.config))

    jax.monitoring.register_event_duration_secs_listener(clock.on_event)
    run.prepare = clock.timed(run.prepare, "seconds", lambda *_: "data and network")  # type: ignore[attr-defined]
    run.run_stage = clock.timed(  # type: ignore[attr-defined]
        run.run_stage, "seconds", lambda setup, stage: stage.name.split()[-1]
    )
    stage.commit = clock.timed(stage.commit, "saving")
    training.Loop.save = clock.timed(training.Loop.save, "saving")  # type: ignore[method-assign]
    training.Loop.wait = clock.timed(training.Loop.wait, "saving")  # type: ignore[method-assign]
    write = clock.timed(report.write, "seconds", lambda *_: "report")
    with tempfile.TemporaryDirectory() as workdir:
        run.run(config, Path(workdir))
        write(Path(workdir), "")
    total = time.perf_counter() - begin

    parts = list(dict.fromkeys(part for part, kind in clock.seconds if kind == "seconds"))
    clock.seconds["other", "seconds"] = total - sum(clock.seconds[part, "seconds"] for part in parts)
    print(f"{options.config}, {machine()}, seconds")
    print(f"{'':17}" + "".join(f"{column:>11}" for column in COLUMNS))
    for part in [*parts, "other"]:
        seconds = clock.seconds[part, "seconds"]
        compiling = clock.seconds[part, "compiling"]
        saving = clock.seconds[part, "saving"]
        row = (seconds, compiling, saving, seconds - compiling - saving)
        print(f"{part:17}" + "".join(f"{value:11.1f}" for value in row))
    print(f"{'total':17}{total:11.1f}")


if __name__ == "__main__":
    main(sys.argv[1:])
