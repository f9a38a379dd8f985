"""Starting is light: what must not be imported before a model runs, by looking at what was."""

import json
import subprocess
import sys

import pytest

HEAVY = {"torch", "pandas", "h5py", "dash", "sklearn", "scipy", "umap", "captum", "transformers"}


def _imported_by(code, *arguments):
    """Run code in a new interpreter; return the top-level packages it imported, and its output."""
    report = (
        "import sys\n"
        f"sys.argv = ['interp', *{list(arguments)!r}]\n"
        f"try:\n    {code}\nexcept SystemExit as leave:\n"
        "    assert leave.code in (0, None), leave.code\n"
        "import json\n"
        "print('\\nIMPORTED', json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", report], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    output, _, imported = done.stdout.rpartition("\nIMPORTED ")
    return set(json.loads(imported)), output


def test_import_interp_imports_nothing_heavy():
    imported, _ = _imported_by("import interp")
    assert not imported & HEAVY


@pytest.mark.parametrize("package", ["probes", "dashboard"])
def test_importing_the_other_packages_imports_neither_torch_nor_dash(package):
    imported, _ = _imported_by(f"import {package}")
    assert not imported & HEAVY


def test_the_public_names_of_interp_are_there_and_listed():
    code = "import interp; [getattr(interp, name) for name in interp.__all__]; print(dir(interp))"
    _, output = _imported_by(code)
    for name in ("Recorder", "record", "open", "InterpError", "show"):
        assert f"'{name}'" in output


def test_an_unknown_name_of_interp_is_an_attribute_error():
    import interp

    with pytest.raises(AttributeError, match="recrod"):
        interp.recrod  # noqa: B018


@pytest.mark.parametrize("arguments", [["--help"], ["record", "--help"], ["view", "--help"]])
def test_help_imports_nothing_heavy(arguments):
    imported, output = _imported_by("from interp.cli.main import main; main()", *arguments)
    assert "Usage" in output
    assert not imported & HEAVY


def test_info_reads_a_recording_without_torch(small_recording):
    imported, output = _imported_by(
        "from interp.cli.main import main; main()", "info", str(small_recording)
    )
    assert "lstm/l0/hidden" in output
    assert not imported & (HEAVY - {"h5py"})


@pytest.fixture(scope="module")
def small_recording(tmp_path_factory):
    import torch

    import interp

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("recording") / "run.h5"
    batches = [torch.randn(2, 5, 3)]
    interp.record(torch.nn.LSTM(3, 4, batch_first=True).eval(), batches, path, sites=["lstm/*"])
    return path
