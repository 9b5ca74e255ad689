"""Count lines, branches and imports of a package: how plain its code is.

```
python -m experiments.benchmarks.style                    # lpjax
python -m experiments.benchmarks.style path/to/package    # any other, e.g. of site-packages
```

Code lines are those that hold code: neither blank, nor comment, nor docstring. The complexity of a function is one more
than its branches (`if`, `for`, `while`, `except`, `case`, a conditional expression, each further operand of `and` or
`or`, each loop and condition of a comprehension). An import chain follows imports of the package's own modules at the
top level of a file.
"""

import argparse
import ast
import functools
import statistics
from collections.abc import Iterator
from pathlib import Path

FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)
COMPREHENSION = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
BRANCH = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.ExceptHandler, ast.match_case, ast.IfExp)


def code_lines(tree: ast.Module) -> int:
    """Count the lines that hold code; a statement over several lines counts each."""
    lines: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt) and not is_docstring(node):
            body = getattr(node, "body", None)
            first = node.decorator_list[0].lineno if getattr(node, "decorator_list", None) else node.lineno
            last = body[0].lineno - 1 if isinstance(body, list) and body else node.end_lineno
            if isinstance(body, list) and body and is_docstring(body[0]):
                last = body[0].lineno - 1
            lines.update(range(first, max(first, last or first) + 1))
    return len(lines)


def is_docstring(node: ast.AST) -> bool:
    """Tell whether a statement is a string by itself."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def own_nodes(function: ast.AST) -> Iterator[ast.AST]:
    """Walk a function without the functions and classes defined in it."""
    for child in ast.iter_child_nodes(function):
        if not isinstance(child, (*FUNCTION, ast.ClassDef)):
            yield child
            yield from own_nodes(child)


def complexity(function: ast.AST) -> int:
    """Count a function's branches, plus one."""
    count = 1
    for node in own_nodes(function):
        if isinstance(node, BRANCH):
            count += 1
        elif isinstance(node, ast.BoolOp):
            count += len(node.values) - 1
        elif isinstance(node, ast.comprehension):
            count += 1 + len(node.ifs)
    return count


def is_packed(node: ast.AST) -> bool:
    """Tell whether an assignment packs several: a tuple of names and a tuple of values."""
    return isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Tuple) and isinstance(node.value, ast.Tuple)


def imports(tree: ast.Module, module: str, modules: set[str]) -> set[str]:
    """List the modules of the same package that a file imports at its top level."""
    found: set[str] = set()
    for node in tree.body:
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            known = name if name in modules else name.rpartition(".")[0]
            if known in modules and known != module:
                found.add(known)
    return found


def longest_chain(graph: dict[str, set[str]]) -> list[str]:
    """Find the longest chain of imports; a module that is met again ends it."""

    @functools.cache
    def chain(module: str) -> tuple[str, ...]:
        longest: tuple[str, ...] = ()
        if module in visiting:
            return longest
        visiting.add(module)
        for imported in sorted(graph[module]):
            longest = max(longest, chain(imported), key=len)
        visiting.remove(module)
        return (module, *longest)

    visiting: set[str] = set()
    return list(max((chain(module) for module in graph), key=len))


def main() -> None:
    """Print the counts of a package."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("package", nargs="?", type=Path, default=Path(__file__).parents[2] / "lpjax")
    package = parser.parse_args().package
    paths = sorted(path for path in package.rglob("*.py") if not path.name.endswith("_test.py"))
    texts = {path: path.read_text(encoding="utf-8") for path in paths}
    trees = {path: ast.parse(text) for path, text in texts.items()}
    modules = {}
    for path in paths:
        parts = path.relative_to(package.parent).with_suffix("").parts
        modules[path] = ".".join(parts).removesuffix(".__init__")
    nodes = [node for tree in trees.values() for node in ast.walk(tree)]
    functions = [complexity(node) for node in nodes if isinstance(node, FUNCTION)]
    code = sum(map(code_lines, trees.values()))
    graph = {modules[path]: imports(tree, modules[path], set(modules.values())) for path, tree in trees.items()}
    chain = longest_chain(graph)
    print(f"files {len(paths)}, lines {sum(text.count(chr(10)) for text in texts.values()):,}, code lines {code:,}")
    print(f"complexity: mean {statistics.mean(functions):.2f}, above 10: {sum(c > 10 for c in functions)}")
    print(f"longest import chain {len(chain)}: {' > '.join(chain)}")
    counts = {
        "comprehensions": sum(isinstance(node, COMPREHENSION) for node in nodes),
        "ternaries": sum(isinstance(node, ast.IfExp) for node in nodes),
        "packed assignments": sum(map(is_packed, nodes)),
    }
    print("per 1,000 code lines: " + ", ".join(f"{name} {1000 * count / code:.1f}" for name, count in counts.items()))
    folders: dict[str, int] = {}
    for path, text in texts.items():
        folder = path.relative_to(package).parts[0] if path.parent != package else "."
        folders[folder] = folders.get(folder, 0) + text.count("\n")
    print("lines per folder: " + ", ".join(f"{folder} {lines:,}" for folder, lines in sorted(folders.items())))


if __name__ == "__main__":
    main()
