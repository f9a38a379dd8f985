"""Who may import whom: interp knows neither probes nor dashboard, probes knows no dashboard.

The command line and `interp.show` are the two places that import upward, inside a function.
"""

import ast
import graphlib

import pytest

from tests.project.source import PACKAGES, Import, all_imports, imports_of, modules

MAY_IMPORT = {"interp": set(), "probes": {"interp"}, "dashboard": {"interp", "probes"}}


def _package(name):
    return name.split(".")[0]


def _is_upward_place(module):
    return module == "interp.showing" or module.startswith("interp.cli.")


def test_all_three_packages_are_there():
    assert {_package(name) for name in modules()} == set(PACKAGES)


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_imports_only_what_lies_below_it(package):
    wrong = []
    for found in all_imports():
        other = _package(found.imported)
        if _package(found.importer) != package or other == package or other not in PACKAGES:
            continue
        allowed = other in MAY_IMPORT[package] or (
            package == "interp" and found.is_lazy and _is_upward_place(found.importer)
        )
        if not allowed:
            wrong.append(f"{found.importer}:{found.line} imports {found.imported}")
    assert not wrong, "\n".join(wrong)


def test_nothing_imports_tests_or_benchmarks():
    outside = ("tests", "benchmarks")
    wrong = [found for found in all_imports() if _package(found.imported) in outside]
    assert not wrong


def needed_at_import(module, known, imports):
    """Return the modules among `known` that a module's own import statements load at once."""
    found = set()
    for statement in imports(module):
        if not (statement.is_lazy or statement.is_for_types):
            name = statement.imported
            found.add(name if name in known else name.rpartition(".")[0])
    return (found & set(known)) - {module}


def test_no_modules_import_each_other():
    needed = {name: needed_at_import(name, modules(), imports_of) for name in modules()}
    assert sum(map(len, needed.values())) > len(modules())
    list(graphlib.TopologicalSorter(needed).static_order())  # CycleError names the circle


def test_a_circle_is_found():
    imports = {
        "a": [Import("a", "b.name", 1, False, False)],
        "b": [Import("b", "c", 1, False, False), Import("b", "os.path", 2, False, False)],
        "c": [Import("c", "a", 1, True, False), Import("c", "a", 2, False, True)],
    }
    order = {name: needed_at_import(name, imports, imports.get) for name in imports}
    assert list(graphlib.TopologicalSorter(order).static_order()) == ["c", "b", "a"]
    imports["c"].append(Import("c", "a.name", 3, False, False))
    order = {name: needed_at_import(name, imports, imports.get) for name in imports}
    with pytest.raises(graphlib.CycleError):
        list(graphlib.TopologicalSorter(order).static_order())


# One idea per module. Past 400 lines, the reason is written here or the module is split.
REASONS_FOR_LENGTH: dict[str, str] = {}


def test_modules_are_small():
    def n_lines(tree):
        return max((node.end_lineno for node in tree.body), default=0)

    long = {name: n_lines(tree) for name, tree in modules().items() if n_lines(tree) > 400}
    assert set(long) == set(REASONS_FOR_LENGTH), long


def test_functions_fit_a_screen():
    long = []
    for name, tree in modules().items():
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                documented = ast.get_docstring(node) is not None
                body = node.body[1:] if documented else node.body
                if body and node.end_lineno - body[0].lineno > 70:
                    long.append(f"{name}:{node.lineno} {node.name}")
    assert not long, "\n".join(long)
