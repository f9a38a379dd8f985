"""`hf:` models from the command line."""

from __future__ import annotations

import json

import numpy as np
import pytest
from typer.testing import CliRunner

import interp
from interp.cli.main import app
from interp.models import families, smollm
from interp.models.samples import sample_input
from tests.huggingface import tiny


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("models")


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)


def test_sites_of_a_text_a_pair_and_an_image_model(folder):
    made = {
        tiny.gpt2(folder / "gpt2"): "transformer.h.0.attn/attention",
        tiny.t5(folder / "t5"): "decoder.block.0.layer.1.EncDecAttention/attention",
        tiny.vit(folder / "vit"): "classifier/output",
    }
    for spec, site in made.items():
        result = run("sites", spec, "--json")
        assert result.exit_code == 0
        assert site in [found["name"] for found in json.loads(result.stdout)]


def test_recording_windows_pairs_and_what_a_model_writes(folder, tmp_path):
    (tmp_path / "long.txt").write_text("The cat sat on the mat. " * 20)
    spec, output = f"hf:{folder / 'gpt2'}", tmp_path / "run.h5"
    words = ["--sites", "**/attention", "-q"]
    assert (
        run("record", spec, tmp_path / "long.txt", "-o", output, "--stride", 16, *words).exit_code
        == 0
    )
    (tmp_path / "short.txt").write_text("The cat")
    words += ["--overwrite", "--generate", 4, "--temperature", 0.8, "--model-dtype", "float32"]
    assert run("record", spec, tmp_path / "short.txt", "-o", output, *words).exit_code == 0
    with interp.open(output) as recording:
        assert recording.annotations["generated"][:].sum() == 4


def test_attention_is_recorded_where_nothing_is_recurrent(folder, tmp_path):
    (tmp_path / "a.txt").write_text("The cat")
    result = run("record", f"hf:{folder / 'gpt2'}", tmp_path / "a.txt", "-o", tmp_path / "run.h5")
    assert result.exit_code == 0 and "no recurrent net" in result.stderr
    with interp.open(tmp_path / "run.h5") as recording:
        assert len(recording.attention_sites) == 2 and not recording.sites


def test_random_weights_and_a_missing_directory(folder, tmp_path, capsys):
    (tmp_path / "a.txt").write_text("The cat")
    words = ["-o", tmp_path / "run.h5", "--sites", "**/attention", "-q", "--random-init"]
    assert run("record", f"hf:{folder / 'gpt2'}", tmp_path / "a.txt", *words).exit_code == 0
    with interp.open(tmp_path / "run.h5") as recording:
        assert recording.provenance["model"]["random_init"] is True


@pytest.mark.parametrize("kind", ["g2p-gru", "g2p-transformer", "vision"])
def test_samples_for_models_of_every_kind(kind):
    adapter = families.build({"kind": kind})
    logits, state = adapter.forward(*sample_input(adapter), None)
    assert logits.shape[0] == 1 and state is None


def test_the_package_of_a_real_model(monkeypatch, tmp_path):
    from importlib import metadata

    class File:
        def __init__(self, name):
            self.path = tmp_path / name

        def locate(self):
            return self.path

    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    monkeypatch.setattr(metadata, "files", lambda name: [File("x.py"), File("model.gguf")])
    assert smollm.specification() == f"hf:{tmp_path / 'model.gguf'}"

    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "files", missing)
    with pytest.raises(interp.InterpError, match=r"not installed: pip install 'interp\[llm\]'"):
        smollm.specification()


def test_several_gguf_files_are_named(tmp_path):
    for name in ("a.gguf", "b.gguf"):
        (tmp_path / name).write_bytes(np.zeros(4, np.uint8).tobytes())
    with pytest.raises(interp.InterpError, match=r"2 GGUF files; name one: hf:.*a.gguf"):
        interp.record(f"hf:{tmp_path}", {"a": "b"}, tmp_path / "run.h5")
