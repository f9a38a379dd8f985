"""Model specifications: what they name, and one clear message when they do not."""

import sys
import textwrap

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from interp.errors import ModelError
from interp.models import load
from interp.models.characters import build
from interp.models.weights import weights_hash


@pytest.fixture
def factory(tmp_path, monkeypatch):
    """A folder with a user's own module file, as the working folder."""
    (tmp_path / "my_models.py").write_text(
        textwrap.dedent(
            """
            from torch import nn
            def lstm():
                return nn.LSTM(3, 4)
            def number():
                return 7
            def broken():
                raise RuntimeError("no such size")
            """
        )
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    sys.modules.pop("my_models", None)


def test_factory_with_weights(factory):
    source = nn.LSTM(3, 4)
    save_file(source.state_dict(), factory / "w.safetensors")
    torch.save(source.state_dict(), factory / "w.pt")
    for name in ("w.safetensors", "w.pt"):
        loaded = load("py:my_models:lstm", factory / name)
        assert loaded.adapter is None and not loaded.module.training
        assert loaded.weights_hash == weights_hash(source)


def test_a_factory_is_the_same_model_each_time(factory):
    first, second = load("py:my_models:lstm"), load("py:my_models:lstm")
    assert first.weights_hash == second.weights_hash
    assert load("py:my_models:lstm", seed=1).weights_hash != first.weights_hash


def test_random_init_keeps_the_shape_and_changes_the_weights(factory):
    trained = build({"n_hidden": 8, "n_layers": 1}).module
    before = weights_hash(trained)
    loaded = load(trained, random_init=True)
    assert loaded.random_init and loaded.weights_hash != before
    assert weights_hash(trained) == before


def test_objects_are_taken_as_they_are():
    adapter = build({"n_hidden": 8, "n_layers": 1})
    loaded = load(adapter)
    assert loaded.adapter is adapter and loaded.carries_state
    module = nn.GRU(2, 3)
    assert load(module).module is module


def test_a_bidirectional_net_does_not_carry_state():
    adapter = build({"n_hidden": 8, "n_layers": 1})
    adapter.module.extra = nn.GRU(2, 2, bidirectional=True)
    assert not load(adapter).carries_state


@pytest.mark.parametrize(
    ("spec", "parts"),
    [
        ("zoo:code-lsmt", ["No bundled model named 'code-lsmt'", "code-lstm"]),
        ("py:my_models", ["py:package.module:factory"]),
        ("py:my_models:lst", ["lstm"]),
        ("py:no_such_module:f", ["no_such_module", "install its package"]),
        ("py:my_models:number", ["int", "neither an nn.Module nor an adapter"]),
        ("py:my_models:broken", ["RuntimeError: no such size"]),
        ("model.pt", ["No model specification", "py:package.module:factory"]),
        ("code-lstm", ["nearest: zoo:code-lstm"]),
    ],
)
def test_wrong_specifications(factory, spec, parts):
    with pytest.raises(ModelError) as error:
        load(spec)
    for part in parts:
        assert part in str(error.value)


def test_weights_that_do_not_fit(factory):
    save_file(
        {"weight_ih_l0": torch.zeros(16, 5), "extra": torch.zeros(1)}, factory / "w.safetensors"
    )
    with pytest.raises(ModelError) as error:
        load("py:my_models:lstm", factory / "w.safetensors")
    message = str(error.value)
    assert "missing: weight_hh_l0" in message
    assert "not in the model: extra" in message
    assert "weight_ih_l0 is (16, 5) in the file, (16, 3) in the model" in message


def test_files_that_are_not_weights(factory):
    (factory / "text.pt").write_text("hello")
    torch.save({"a": 1}, factory / "number.pt")
    with pytest.raises(ModelError, match="cannot be read as weights"):
        load("py:my_models:lstm", factory / "text.pt")
    with pytest.raises(ModelError, match="not a dictionary of tensors"):
        load("py:my_models:lstm", factory / "number.pt")
    (factory / "tex.txt").touch()
    with pytest.raises(
        ModelError, match=r"no weights file .*Nearest names there: text\.pt, number\.pt\."
    ):
        load("py:my_models:lstm", factory / "tex.pt")


def test_a_weights_file_never_runs_code(factory):
    torch.save(nn.LSTM(3, 4), factory / "whole_module.pt")
    with pytest.raises(ModelError, match="holds code, which is never run"):
        load("py:my_models:lstm", factory / "whole_module.pt")


def test_nan_weights_are_named():
    module = nn.LSTM(3, 4)
    with torch.no_grad():
        module.weight_hh_l0[0, 0] = float("nan")
    with pytest.raises(ModelError, match="weight_hh_l0 has 1 NaN"):
        load(module)


def test_an_unknown_device_is_refused():
    with pytest.raises(ModelError, match="available: cpu"):
        load(nn.LSTM(3, 4), device="gpu")


@pytest.mark.parametrize(
    ("option", "said"),
    [({"model_dtype": "float16"}, "for hf: models"), ({"download": True}, "nothing to fetch")],
)
def test_what_only_hf_models_have_is_not_dropped_for_others(option, said):
    for spec in ("zoo:code-lstm-small", nn.LSTM(2, 3)):
        with pytest.raises(ModelError, match=said):
            load(spec, **option)
