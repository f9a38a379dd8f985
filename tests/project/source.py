"""The project's own source as syntax trees, for the tests that read it."""

from __future__ import annotations

import ast
import functools
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("interp", "probes", "dashboard")


@dataclass(frozen=True)
class Import:
    """One import statement: who imports what, where, and whether only inside a function."""

    importer: str
    imported: str
    line: int
    is_lazy: bool
    is_for_types: bool


@functools.cache
def modules() -> dict[str, ast.Module]:
    """Return dotted module name -> tree, for every module of the three packages."""
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            found[name] = ast.parse(path.read_text(encoding="utf-8"), str(path))
    return found


def imports_of(name: str) -> list[Import]:
    """Return every import statement of a module, also those inside functions."""
    found: list[Import] = []

    def visit(node: ast.AST, is_lazy: bool, is_for_types: bool) -> None:
        targets: list[str] = []
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}:{node.lineno}: imports are absolute here"
            # `from interp import capture` may name a module or a thing inside one.
            targets = [f"{node.module}.{alias.name}" for alias in node.names]
        found.extend(
            Import(name, target, node.lineno, is_lazy, is_for_types)  # type: ignore[attr-defined]
            for target in targets
        )
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            is_lazy = True
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            is_for_types = True
        for child in ast.iter_child_nodes(node):
            visit(child, is_lazy, is_for_types)

    visit(modules()[name], False, False)
    return found


def all_imports() -> list[Import]:
    """Return the imports of all modules."""
    return [found for name in modules() for found in imports_of(name)]
