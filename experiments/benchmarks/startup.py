"""How long a run takes to its first training step, and which programs it compiles: without a cache, then with one.

The same command is run twice in new processes that share a cache of compiled programs, which is empty at first. Time
counts from the start of the process. Programs are what JAX reports of itself (`jax.monitoring`): each is listed with
the functions of lpjax that called it, how often it was compiled or read from the cache, and the seconds that took.

Command: python -m experiments.benchmarks.startup --config=digits_resnet8
"""

import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
import traceback
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from experiments.benchmarks.inputs import machine, parser

BEGIN = "LPJAX_BENCHMARK_BEGIN"
COMPILE = "/jax/core/compile/backend_compile_duration"
SHOWN = 15
"""Programs that are listed; the rest is summed up."""
CALLERS = 3
PARTS = {"import": "to import", "first_step": "to the first step done", "total": "in all"}


def main(argv: list[str]) -> None:
    """Print the times to the first step, and the programs of the whole run."""
    arguments = parser(__doc__)
    arguments.add_argument("--config", default="digits_resnet8", help="a file of configs/, without .py")
    arguments.add_argument("--child", type=Path, help="measure this process, and write what was found to a file")
    options = arguments.parse_args(argv)
    if options.child:
        options.child.write_text(json.dumps(measure(options.config)))
        return
    print(f"{options.config}, {machine()}")
    with tempfile.TemporaryDirectory() as folder:
        for name in ("empty cache", "full cache"):
            found = _in_new_process(options.config, Path(folder))
            seconds = [f"{found[part]:.1f} s {words}" for part, words in PARTS.items()]
            print(f"\n{name}: {', '.join(seconds)}")
            _print_programs(found["programs"])


def _in_new_process(config: str, folder: Path) -> dict[str, Any]:
    record = folder / "found.json"
    environment = os.environ | {"XDG_CACHE_HOME": str(folder / "cache"), BEGIN: str(time.time())}
    environment.pop("JAX_COMPILATION_CACHE_DIR", None)
    command = [sys.executable, "-m", "experiments.benchmarks.startup", f"--config={config}", f"--child={record}"]
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    return json.loads(record.read_text())


def _print_programs(programs: dict[str, list[float]]) -> None:
    print(f"{'program':100} {'times':>6} {'seconds':>8}")
    largest = sorted(programs, key=lambda name: -sum(programs[name]))
    for name in largest[:SHOWN]:
        print(f"{name[:100]:100} {len(programs[name]):6} {sum(programs[name]):8.2f}")
    rest = list(itertools.chain.from_iterable(programs[name] for name in largest[SHOWN:]))
    others = f"{len(largest[SHOWN:])} others"
    print(f"{others:100} {len(rest):6} {sum(rest):8.2f}")


def measure(name: str) -> dict[str, Any]:
    """Run a config in an empty work directory, and return seconds since the start of the process and all programs."""
    begin = float(os.environ[BEGIN])
    import jax

    from experiments.options import config_of, config_panel
    from lpjax import run, train
    from lpjax.command import remember_compilations

    found: dict[str, Any] = {"import": time.time() - begin}
    programs: dict[str, list[float]] = defaultdict(list)

    def on_event(event: str, seconds: float, **what: Any) -> None:
        if event == COMPILE:
            programs[f"{what.get('fun_name')} of {_caller()}"].append(seconds)

    def timed(data_parallel: Callable[..., train.Step]) -> Callable[..., train.Step]:
        def build(*args: Any, **kwargs: Any) -> train.Step:
            step = data_parallel(*args, **kwargs)

            def first_timed(*operands: Any) -> Any:
                result = step(*operands)
                if "first_step" not in found:
                    jax.block_until_ready(result)
                    found["first_step"] = time.time() - begin
                return result

            return first_timed

        return build

    remember_compilations()
    jax.monitoring.register_event_duration_secs_listener(on_event)
    train.data_parallel = timed(train.data_parallel)  # type: ignore[attr-defined]
    with tempfile.TemporaryDirectory() as workdir:
        run.run(config_of(config_panel("", name)), Path(workdir))
    return found | {"total": time.time() - begin, "programs": programs}


def _caller() -> str:
    """Name the innermost functions of lpjax that are running: module and function, called by module and function."""
    frames = []
    for frame, _ in traceback.walk_stack(None):
        module = frame.f_globals.get("__name__", "")
        if module.startswith("lpjax."):
            frames.append(f"{module.removeprefix('lpjax.')}.{frame.f_code.co_name}")
    return " < ".join(list(dict.fromkeys(frames))[:CALLERS]) or "no function of lpjax"


if __name__ == "__main__":
    main(sys.argv[1:])
