"""Run the Python blocks of a Markdown page in order, as one program: `python tests/laws/pages.py docs/index.md`.

What a block prints must equal the ```text block that follows it, where there is one. A block after the comment
`<!-- needs NAME -->` is skipped where that package is not installed.
"""

import contextlib
import importlib.util
import io
import re
import sys
import types
from pathlib import Path
from typing import NamedTuple

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
NEEDS = re.compile(r"<!-- needs (\w+) -->\s*$")


class Block(NamedTuple):
    """A Python block of a page.

    Attributes:
      line: Number of the line before its first.
      source: Its code.
      needs: A package without which it is skipped, or ''.
      output: What it prints, or None if the page does not say.
    """

    line: int
    source: str
    needs: str
    output: str | None


def blocks(text):
    """List the Python blocks of a page."""
    found = []
    after_python = False
    end = 0
    for fence in FENCE.finditer(text):
        language, content = fence.groups()
        between = text[end : fence.start()]
        if language == "python":
            needs = NEEDS.search(between)
            found.append(Block(text[: fence.start(2)].count("\n"), content, needs.group(1) if needs else "", None))
        elif language == "text" and after_python and not between.strip():
            found[-1] = found[-1]._replace(output=content)
        after_python = language == "python"
        end = fence.end()
    return found


def run(path):
    """Run a page; raise what its blocks raise, or SystemExit where the output differs."""
    page = types.ModuleType("page")
    sys.modules["page"] = page  # dataclasses look up the module of a class
    for block in blocks(path.read_text()):
        if block.needs and importlib.util.find_spec(block.needs) is None:
            sys.stdout.write(f"{path}:{block.line}: skipped, {block.needs} is not installed\n")
            continue
        printed = io.StringIO()
        code = compile("\n" * block.line + block.source, str(path), "exec")
        with contextlib.redirect_stdout(printed):
            exec(code, page.__dict__)
        sys.stdout.write(printed.getvalue())
        if block.output is not None and printed.getvalue() != block.output:
            sys.exit(f"{path}:{block.line}: printed\n{printed.getvalue()}instead of\n{block.output}")


if __name__ == "__main__":
    run(Path(sys.argv[1]))
