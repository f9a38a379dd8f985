"""Nothing lies about: what no code and no document uses is deleted, whatever tests call it."""

import ast
import re

from tests.project.source import ROOT, modules

# Called from outside Python code that can be read here.
REASONS = {
    "dashboard._js_dist": "read by Dash",
    "dashboard._css_dist": "read by Dash",
    "interp.storage.image.SparseFile.*": "the methods of a file that HDF5 calls",
    "dashboard.sources.attention.AttentionMemorySource": "in memory, for tests",
}
WORD = re.compile(r"[A-Za-z_]\w+")
#: Decorators that put a function where it is called from.
REGISTERS = re.compile(r"_command|handles|offers|prepares|observes|overload|(api|server|app)\.")


def definitions(tree):
    """Yield (name with its class, name, node) of what a module defines for others."""
    for node in tree.body:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    yield target.id, target.id, node
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            continue
        yield node.name, node.name, node
        if isinstance(node, ast.ClassDef):
            for child in node.body:
                if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
                    yield f"{node.name}.{child.name}", child.name, child


def uses(tree):
    """Yield every name that a module mentions other than by defining it, with its line.

    A name may stand in a short text: lazily imported and dispatched ones do.
    """
    texts = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            yield node.id, node.lineno
        elif isinstance(node, ast.Attribute):
            yield node.attr, node.lineno
        elif isinstance(getattr(node, "value", None), str) and id(node) not in texts:
            for word in WORD.findall(node.value) if len(node.value) < 40 else ():
                yield word, node.lineno


def unused(trees, prose):
    """Return what is defined in some modules and mentioned neither there nor in prose."""
    mentioned = {}
    for name, tree in trees.items():
        for word, line in uses(tree):
            mentioned.setdefault(word, []).append((name, line))
    found = []
    for module, tree in trees.items():
        for qualified, name, node in definitions(tree):
            decorators = [ast.unparse(found) for found in getattr(node, "decorator_list", ())]
            if re.fullmatch(r"__\w+__", name) or any(map(REGISTERS.match, decorators)):
                continue
            inside = range(node.lineno, node.end_lineno + 1)
            elsewhere = [
                place
                for place in mentioned.get(name, ())
                if place[0] != module or place[1] not in inside
            ]
            if not elsewhere and name not in prose:
                found.append(f"{module}.{qualified}")
    return found


def test_everything_is_used():
    documents = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    prose = {word for path in documents for word in WORD.findall(path.read_text("utf-8"))}
    excused = [re.escape(name).replace(r"\*", ".*") for name in REASONS]
    found = unused(modules(), prose)
    assert not [name for name in found if not any(re.fullmatch(e, name) for e in excused)]
    assert all(any(re.fullmatch(e, name) for name in found) for e in excused), "excused for nothing"


def test_what_counts_as_used():
    trees = {
        "one": ast.parse("LIMIT = 3\ndef again():\n    'again'\n    again()\ndef told(): ..."),
        "two": ast.parse("class Box:\n    def open(self): ...\n    def shut(self): ...\nBox.open"),
        "three": ast.parse("NAMES = {'kind': 'lazy'}\n@compiled\ndef lazy(): return NAMES\n"
                           "@handles(lstm)\ndef run(): ...\n@compiled\ndef count(): ..."),
    }  # fmt: skip
    assert unused(trees, {"told"}) == ["one.LIMIT", "one.again", "two.Box.shut", "three.count"]
