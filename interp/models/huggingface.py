"""Hugging Face models as adapters: ``hf:`` and a local directory, a GGUF file or a hub name.

Nothing is downloaded unless asked for: a hub name means what the local cache holds. Code that
comes with a model is never run.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from typing import Any

import torch
from torch import nn

from interp.errors import ModelError, unknown_name
from interp.models.huggingface_files import HuggingFaceFiles, find_files, first_line
from interp.models.tokens import Tokens

_OF_TOKENIZERS = ("tokenizer*", "vocab*", "*.model", "*.tiktoken", "merges.txt")
#: Said, as the library would otherwise ask on the terminal whether to run code of the model's.
_NO_CODE = {"trust_remote_code": False}
MODEL_DTYPES = ("auto", "float32", "float16", "bfloat16", "float64")


def load_huggingface(
    name: str, *, download: bool = False, random_init: bool = False, dtype: str = "auto"
) -> Any:
    """Return the adapter of a Hugging Face model, in eval mode on the CPU.

    Parameters
    ----------
    name : str
        A directory, a ``.gguf`` file or a directory with one, or a name on the hub.
    download : bool
        Fetch the files from the hub where they are not there.
    random_init : bool
        Only the shape is taken; weights are drawn by the model's own initialisation.
    dtype : str
        In which the model computes: ``"auto"`` for the type of its weights.

    Raises
    ------
    ModelError
        If it is not there, has no tokenizer, or is of a kind that cannot be read.
    """
    if dtype not in MODEL_DTYPES:
        raise ModelError(unknown_name("type to compute in", dtype, MODEL_DTYPES))
    transformers = _transformers()
    with _quiet(transformers):
        files = find_files(name, download)
        config = _load(transformers.AutoConfig, name, files, "configuration", **_NO_CODE)
        kind = _model_class(transformers, config, name)
        module = _build(transformers, kind, config, name, files, random_init, dtype)
        module.eval()
        return _adapter(transformers, module, name, files)


def _model_class(transformers: Any, config: Any, name: str) -> Any:
    """Return the class that the weights were saved from, as far as it predicts what is read."""
    said = (getattr(config, "architectures", None) or [None])[0]
    found = getattr(transformers, said, None) if said else None
    if said and said.endswith("ForPreTraining"):
        # Its output holds several predictions; the masked model is the same without the second.
        found = getattr(transformers, said.replace("ForPreTraining", "ForMaskedLM"), found)
    if found is not None:
        return found
    mappings = [transformers.MODEL_FOR_CAUSAL_LM_MAPPING, transformers.MODEL_MAPPING]
    if getattr(config, "is_encoder_decoder", False):
        mappings.insert(0, transformers.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING)
    for mapping in mappings:
        if type(config) in mapping:
            return mapping[type(config)]
    raise ModelError(
        f"hf:{name} is a {config.model_type!r} model ({said or 'no architecture named'}), which "
        f"the installed transformers {transformers.__version__} does not have; code that comes "
        "with a model is never run. Load it yourself and give it an adapter "
        "(docs/recording-your-model.md)."
    )


def _build(
    transformers: Any,
    kind: Any,
    config: Any,
    name: str,
    files: HuggingFaceFiles,
    random_init: bool,
    dtype: str,
) -> nn.Module:
    wanted = dtype if dtype == "auto" else getattr(torch, dtype)
    if random_init:
        if wanted == "auto":
            wanted = getattr(config, "dtype", None) or torch.float32
        return kind._from_config(config, dtype=wanted)
    if files.gguf is not None:
        _need_gguf(name)
    module, info = _load(
        kind, name, files, "weights", dtype=wanted, output_loading_info=True, use_safetensors=None
    )
    missing = sorted(info.get("missing_keys", ()))
    if missing:
        more = f" and {len(missing) - 4} more" if len(missing) > 4 else ""
        raise ModelError(
            f"The weights of hf:{name} do not hold {', '.join(missing[:4])}{more}, which "
            f"{kind.__name__} needs; they would be random. Save the whole model with "
            "save_pretrained, or record a random one on purpose with --random-init."
        )
    return module


def _adapter(transformers: Any, module: Any, name: str, files: HuggingFaceFiles) -> Any:
    from interp.models import huggingface_adapters as adapters

    config = module.config
    asked_for = getattr(module, "main_input_name", "input_ids")
    if asked_for == "pixel_values" and not getattr(config, "is_encoder_decoder", False):
        from interp.models.huggingface_images import HuggingFaceImages, Preparation

        return HuggingFaceImages(module, Preparation.of(config, files.folder))
    if asked_for != "input_ids":
        raise ModelError(
            f"hf:{name} ({type(module).__name__}) reads {asked_for}, not text or images; give it "
            "an adapter of your own (docs/recording-your-model.md), or record it from Python with "
            "batches and forward=."
        )
    _need_tokenizer(name, files)
    tokenizer = _load(transformers.AutoTokenizer, name, files, "tokenizer", **_NO_CODE)
    tokens = Tokens(tokenizer, int(getattr(config, "vocab_size", 0) or 0))
    if getattr(config, "is_encoder_decoder", False):
        return adapters.HuggingFacePairs(module, tokens)
    predicts = _predicts(transformers, module)
    if predicts == "next":
        return adapters.HuggingFaceDecoder(module, tokens)
    return adapters.HuggingFaceText(module, tokens, has_predictions=predicts is not None)


def _need_tokenizer(name: str, files: HuggingFaceFiles) -> None:
    """Refuse a directory without one: the library would make an empty one up."""
    if files.gguf is None and not any(any(files.folder.glob(each)) for each in _OF_TOKENIZERS):
        raise ModelError(
            f"hf:{name} has no tokenizer: there is no tokenizer.json, vocab.* or *.model in "
            f"{files.folder}. A recording of text needs it; save it there with save_pretrained."
        )


def _predicts(transformers: Any, module: Any) -> str | None:
    """Return what a model's logits speak about, None where it has none about tokens."""
    kind = type(module)
    if kind in transformers.MODEL_FOR_CAUSAL_LM_MAPPING.values():
        # XLNet, and an encoder that was saved as a language model, see what comes: what their
        # logits say of it is no prediction.
        return "next" if _sees_the_past_alone(module) else None
    if kind in transformers.MODEL_FOR_MASKED_LM_MAPPING.values():
        return "same"
    return None


def _sees_the_past_alone(module: Any) -> bool:
    """Return whether a later token leaves the logits at earlier positions as they are."""
    ids = torch.arange(8)[None] % module.config.get_text_config().vocab_size
    other = ids.clone()
    other[0, -1] = ids[0, 0]
    with torch.no_grad():
        first, second = (module(input_ids=row).logits[0, :-1].float() for row in (ids, other))
    return bool(torch.allclose(first, second, rtol=0, atol=1e-5 * float(first.abs().max())))


def _load(loader: Any, name: str, files: HuggingFaceFiles, what: str, **more: Any) -> Any:
    try:
        return loader.from_pretrained(files.folder, **files.arguments, **more)
    except Exception as error:
        need = {"tokenizer": " A recording of text needs it; save it there with save_pretrained."}
        if files.gguf is not None:
            _need_gguf(name)
        raise ModelError(
            f"hf:{name}: the {what} cannot be read from {files.folder} "
            f"({type(error).__name__}: {first_line(error)}).{need.get(what, '')}"
        ) from error


def _need_gguf(name: str) -> None:
    import importlib.util

    missing = [part for part in ("gguf", "accelerate") if not importlib.util.find_spec(part)]
    if missing:
        raise ModelError(
            f"hf:{name} is a GGUF file, which needs {' and '.join(missing)}: "
            "pip install 'interp[llm]'."
        )


def _transformers() -> Any:
    try:
        import transformers
    except ImportError as error:
        raise ModelError(
            "hf: models need the package transformers: pip install 'interp[hf]'."
        ) from error
    return transformers


@contextmanager
def _quiet(transformers: Any) -> Iterator[None]:
    """Keep progress bars and notes of the library off the screen."""
    logging = transformers.utils.logging
    before, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        # Reading a GGUF file draws a bar that no setting turns off.
        with redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.set_verbosity(before)
        if bars:
            logging.enable_progress_bar()
