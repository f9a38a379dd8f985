"""What a docstring says of parameters is what the function takes; ruff checks that there is one."""

import ast
import inspect
import re

import pytest

from tests.project.source import modules

SECTION = re.compile(r"^(\w[\w ]*)\n-{3,}$", re.MULTILINE)
NAMES = re.compile(r"^(\*{0,2}\w+(?:, ?\*{0,2}\w+)*) ?(?::|$)", re.MULTILINE)


def documented_parameters(docstring):
    """Return the names in the Parameters section of a numpydoc docstring, None without one."""
    parts = SECTION.split(docstring)
    for title, text in zip(parts[1::2], parts[2::2], strict=True):
        if title == "Parameters":
            groups = NAMES.findall(text)
            return [name.strip().lstrip("*") for group in groups for name in group.split(",")]
    return None


def parameters(function):
    """Return the parameter names of a function node, in order."""
    given = function.args
    named = [*given.posonlyargs, *given.args]
    if given.vararg:
        named.append(given.vararg)
    named += given.kwonlyargs
    if given.kwarg:
        named.append(given.kwarg)
    return [argument.arg for argument in named if argument.arg not in ("self", "cls")]


def _functions(tree):
    """Yield (function node, docstring) with a class's docstring standing for its __init__."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node, ast.get_docstring(node)
        elif isinstance(node, ast.ClassDef):
            for child in node.body:
                if isinstance(child, ast.FunctionDef) and child.name == "__init__":
                    yield child, ast.get_docstring(node)


def test_documented_parameters_exist():
    wrong = []
    for name, tree in modules().items():
        for function, docstring in _functions(tree):
            documented = documented_parameters(docstring or "")
            unknown = [p for p in documented or [] if p not in parameters(function)]
            if unknown:
                wrong.append(f"{name}:{function.lineno} {function.name}: {', '.join(unknown)}")
    assert not wrong, "documented, but no such parameter:\n" + "\n".join(wrong)


def test_public_functions_that_document_parameters_document_all_of_them():
    wrong = []
    for name, tree in modules().items():
        for function, docstring in _functions(tree):
            documented = documented_parameters(docstring or "")
            if documented is None or (function.name[0] == "_" and function.name != "__init__"):
                continue
            missing = [p for p in parameters(function) if p not in documented]
            if missing:
                wrong.append(f"{name}:{function.lineno} {function.name}: {', '.join(missing)}")
    assert not wrong, "parameters that the docstring leaves out:\n" + "\n".join(wrong)


@pytest.mark.parametrize("name", ["Recorder", "record", "open", "show"])
def test_the_front_door_is_documented_with_its_parameters(name):
    import interp

    thing = getattr(interp, name)
    assert documented_parameters(inspect.getdoc(thing) or ""), f"interp.{name}: no Parameters"


def test_the_reader_of_docstrings_reads_numpydoc():
    text = "Do it.\n\nParameters\n----------\na, b : int\n    Two.\n*rest\n    More.\n\n" + (
        "Returns\n-------\nint\n    What."
    )
    assert documented_parameters(text) == ["a", "b", "rest"]
    assert documented_parameters("Do it.") is None
