"""The command `lpjax` and its subcommands."""

import importlib
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from lpjax.cache import expand_home
from lpjax.choices import one_of
from lpjax.command import USER_MISTAKE, OneLineParser, count, extra
from lpjax.errors import StorageError, UserError
from lpjax.version import __version__

_CHECKOUT = Path(__file__).parent.parent / "configs"
_INSTALLED = Path(sys.prefix) / "share" / "lpjax" / "configs"


class Command(NamedTuple):
    """A word after `lpjax`.

    Attributes:
      about: What it does, for the list of commands.
      call: Takes the arguments that follow.
    """

    about: str
    call: Callable[[Sequence[str]], None]


def main(argv: Sequence[str] | None = None) -> None:
    """Call the command that the first argument names."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    word = arguments[0] if arguments else "--help"
    if word in ("--help", "-h", "help"):
        sys.stdout.write(_help())
    elif word == "--version":
        sys.stdout.write(f"lpjax {__version__}\n")
    elif word in COMMANDS:
        with extra("run", command=True):
            COMMANDS[word].call(arguments[1:])
    else:
        sys.stderr.write(f"lpjax: got {word!r}, expected one of {', '.join(COMMANDS)}; do: lpjax --help\n")
        sys.exit(USER_MISTAKE)


def _help() -> str:
    lines = ["usage: lpjax COMMAND [...]", ""]
    lines += [f"  {word:<8}{command.about}" for word, command in COMMANDS.items()]
    lines += [
        "",
        "lpjax COMMAND --help lists what a command takes. Configs that come with lpjax, for --config=NAME:",
        "",
    ]
    lines += [f"  {name}" for name in _configs()]
    return "\n".join(lines) + "\n"


def _configs() -> dict[str, Path]:
    """Find the configs that come with lpjax, by name."""
    directory = _CHECKOUT if _CHECKOUT.is_dir() else _INSTALLED
    return {path.stem: path for path in sorted(directory.glob("*.py")) if not path.stem.startswith("_")}


def _run(arguments: Sequence[str], *more: str) -> None:
    """Start a run as `python -m lpjax.main` does; `--config` may also be the name of a config that comes with lpjax."""
    joined = list(arguments)
    for flag in ("--config", "--workdir"):
        if flag in joined[:-1]:
            at = joined.index(flag)
            joined[at : at + 2] = [f"{flag}={joined[at + 1]}"]
    try:
        found = [_with_path(argument) for argument in joined]
    except UserError as error:
        sys.stderr.write(f"lpjax: {error}\n")
        sys.exit(USER_MISTAKE)
    sys.argv = ["lpjax run", *found, *more]  # absl reads it, and it is recorded as the command
    importlib.import_module("lpjax.main").start()


def _plan(arguments: Sequence[str]) -> None:
    _run(arguments, "--plan")


def _with_path(argument: str) -> str:
    """Turn `--config=NAME` into `--config=PATH` of a config that comes with lpjax, and leave the rest as it is."""
    flag, _, value = argument.partition("=")
    name, colon, given = value.partition(":")
    if flag != "--config" or "/" in name or name.endswith(".py") or Path(value).exists():
        return argument
    known = _configs()
    return f"--config={known[one_of('--config', name, known)]}{colon}{given}"


def _show(arguments: Sequence[str]) -> None:
    from lpjax import report

    parser = OneLineParser("lpjax show", "Prints levels, densities per layer, accuracies, and what pools are made of.")
    parser.add_argument("workdir", type=expand_home, help="the --workdir of a run, finished or not")
    parser.add_argument("--seed", type=count, help="the seed to show (default: the first)")
    parser.add_argument("--method", default="", help="the pools to show (default: interpolation, if there are any)")
    given = parser.parse_args(arguments)
    _print(parser, lambda: [report.describe(given.workdir, given.seed, given.method)])


def _cite(arguments: Sequence[str]) -> None:
    from lpjax import report

    parser = OneLineParser("lpjax cite", "Prints the BibTeX entries of the methods that a run used.")
    parser.add_argument("workdir", type=expand_home, help="the --workdir of a run, finished or not")
    given = parser.parse_args(arguments)
    _print(parser, lambda: [report.cite(given.workdir)])


def _print(parser: OneLineParser, lines: Callable[[], Iterable[str]]) -> None:
    """Print lines as they come; a mistake of the user is one line and exit code 2."""
    try:
        for line in lines():
            sys.stdout.write(f"{line}\n")
    except (UserError, StorageError) as error:
        parser.error(str(error))


def _export(arguments: Sequence[str]) -> None:
    from lpjax import run
    from lpjax.interop.layout import FORMS
    from lpjax.interop.packed import DTYPES
    from lpjax.run.export import KNOWN_SUFFIXES

    parser = OneLineParser("lpjax export", "Writes a ticket or pool to a file, and a card, FILE.md, beside it.")
    parser.add_argument("source", type=Path, help="the directory of a level or pool, such as runs/demo/seed_0/level_03")
    suffixes = ", ".join(KNOWN_SUFFIXES)
    parser.add_argument("destination", type=Path, help=f"a new file; its suffix says the format: {suffixes}")
    parser.add_argument("--dtype", choices=DTYPES, default="float32", help="what kept weights are rounded to")
    parser.add_argument("--shrink", action="store_true", help="remove channels without weights (onnx, stablehlo)")
    parser.add_argument("--form", choices=FORMS, default="", help="with masks, or weights alone (pth, safetensors)")
    parser.add_argument(
        "--dataset", default="", help="data set whose normalization is included, or none (pth, safetensors)"
    )
    given = parser.parse_args(arguments)
    _print(parser, lambda: run.export(**vars(given)))


def _import(arguments: Sequence[str]) -> None:
    from lpjax import run
    from lpjax.interop.importing import MASKS

    parser = OneLineParser("lpjax import", "Turns files into levels that a run takes as --config.imp.tickets_from.")
    parser.add_argument("source", type=Path, help="a file or folder: .lpz, .safetensors, .pth, OpenLTH's tickets")
    parser.add_argument("destination", type=Path, help="a folder, new or with other seeds of the same network")
    parser.add_argument("--model", default="", help="the architecture, where it is not recognized")
    parser.add_argument(
        "--mask", choices=MASKS, default="stored", help="nonzero: zeros of files without masks are pruned"
    )
    parser.add_argument("--seed", type=count, help="seed number (default: from the file, else 0)")
    parser.add_argument("--level", type=count, help="level of the (first) file (default: from the file, else 0)")
    given = parser.parse_args(arguments)
    _print(parser, lambda: run.import_file(**vars(given)))


def _report(arguments: Sequence[str]) -> None:
    importlib.import_module("lpjax.report.__main__").main(arguments, prog="lpjax report")


COMMANDS = {
    "run": Command("find tickets and pool them, or train sparse; the same command resumes", _run),
    "plan": Command("list the stages of a run, what is done and what is missing", _plan),
    "show": Command("print levels, densities per layer, accuracies and what pools are made of", _show),
    "report": Command("write report.html of a run, finished or not", _report),
    "export": Command("write a ticket or pool to a small file, safetensors, PyTorch, ONNX or StableHLO", _export),
    "import": Command("turn such files, or those of PyTorch code, into levels that a run takes", _import),
    "cite": Command("print the BibTeX entries of the methods that a run used", _cite),
}
