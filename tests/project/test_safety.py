"""Opening a file never runs code from it, and a token is never markup."""

import ast
import re

from tests.project.source import PACKAGES, ROOT, all_imports, modules

BANNED_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal"}
BANNED_CALLS = {"eval", "exec", "compile", "__import__", "pd.read_pickle", "pandas.read_pickle"}


def _calls(name):
    for node in ast.walk(modules()[name]):
        if isinstance(node, ast.Call):
            yield node, ast.unparse(node.func)


def _keyword(call, name):
    return next((ast.unparse(k.value) for k in call.keywords if k.arg == name), None)


def test_no_module_that_unpickles_is_imported():
    wrong = [found for found in all_imports() if found.imported.split(".")[0] in BANNED_MODULES]
    assert not wrong


def test_no_call_runs_code_from_data():
    wrong = []
    for name in modules():
        for call, function in _calls(name):
            if (
                function in BANNED_CALLS
                or (function == "torch.load" and _keyword(call, "weights_only") != "True")
                or _keyword(call, "allow_pickle") not in (None, "False")
                or _keyword(call, "shell") == "True"
                or _keyword(call, "trust_remote_code") == "True"
            ):
                wrong.append(f"{name}:{call.lineno}: {ast.unparse(call)}")
    assert not wrong, "\n".join(wrong)


def test_no_javascript_of_ours_makes_markup_or_code_from_text():
    banned = re.compile(
        r"\b(eval\s*\(|new\s+Function\b|dangerouslySetInnerHTML|(inner|outer)HTML\s*=|"
        r"insertAdjacentHTML|document\.write)"
    )
    wrong = []
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.js"):
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                code = line.split("//")[0]
                if banned.search(code):
                    wrong.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()}")
    assert not wrong, "\n".join(wrong)
