"""What is installed is what is used: packages, data, pins, version."""

import ast
import fnmatch
import re
import runpy

import pytest

from tests.project.source import PACKAGES, ROOT, all_imports


@pytest.fixture(scope="module")
def metadata():
    """Return the keywords that setup.py hands to setuptools."""
    import setuptools

    seen = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(setuptools, "setup", lambda **keywords: seen.update(keywords))
        patch.chdir(ROOT)
        runpy.run_path(str(ROOT / "setup.py"))
    return seen


def _normalised(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def _names(requirements):
    return {_normalised(re.match(r"[\w.-]+", line).group()) for line in requirements}


def test_every_folder_with_code_is_a_package(metadata):
    folders = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
    }
    assert folders == set(metadata["packages"])


def test_every_file_that_is_not_code_is_shipped(metadata):
    left_out = []
    for package in PACKAGES:
        patterns = metadata["package_data"][package]
        for path in (ROOT / package).rglob("*"):
            if path.is_dir() or path.suffix == ".py" or "__pycache__" in path.parts:
                continue
            name = path.relative_to(ROOT / package).as_posix()
            if not any(fnmatch.fnmatch(name, pattern) for pattern in patterns):
                left_out.append(f"{package}/{name}")
    assert not left_out


def test_everything_installed_is_pinned(metadata):
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", pin) for pin in pins), "one exact version each"
    required = [*metadata["install_requires"]]
    for extra in metadata["extras_require"].values():
        required += extra
    assert _names(required) <= _names(pins)


def test_every_import_from_outside_is_a_stated_dependency(metadata):
    import sys

    distributions = {"sklearn": "scikit-learn", "umap": "umap-learn", "PIL": "pillow"}
    stated = _names(metadata["install_requires"])
    for extra in ("hf", "concepts", "images"):
        stated |= _names(metadata["extras_require"][extra])
    # flask is what dash is made of, scipy what scikit-learn is made of.
    stated |= {"flask", "werkzeug", "plotly", "scipy"}
    missing = set()
    for found in all_imports():
        package = found.imported.split(".")[0]
        if package in PACKAGES or package in sys.stdlib_module_names:
            continue
        name = _normalised(distributions.get(package, package))
        if name not in stated:
            missing.add(f"{found.importer}:{found.line} imports {package}")
    assert not missing, "\n".join(sorted(missing))


def test_there_is_one_version(metadata):
    import interp

    assert interp.__version__ == metadata["version"]
    tree = ast.parse((ROOT / "dashboard" / "__init__.py").read_text())
    versions = [
        node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__version__"
    ]
    assert versions in ([], [metadata["version"]])


def test_the_command_leads_to_the_command_line(metadata):
    assert metadata["entry_points"] == {"console_scripts": ["interp = interp.cli.main:main"]}
    from interp.cli.main import main

    assert callable(main)
