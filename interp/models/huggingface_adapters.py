"""Adapters of Hugging Face models that read text: one stream of tokens, or source and target."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from interp.errors import ModelError
from interp.models.adapter import SOURCE, TARGET
from interp.models.tokens import Tokens


class HuggingFaceText:
    """A model that reads tokens and attends to all of them: a masked model, or an encoder.

    Parameters
    ----------
    module : torch.nn.Module
        Called with ``input_ids`` and ``attention_mask``.
    tokens : Tokens
        Its tokenizer.
    has_predictions : bool
        Whether its logits speak about tokens; those of a classifier do not.
    """

    predicts: Literal["next", "same"] = "same"
    carries_state = False

    def __init__(self, module: nn.Module, tokens: Tokens, has_predictions: bool = True) -> None:
        self.module = module
        self._tokens = tokens
        self._has_predictions = has_predictions
        self.context_length = context_length(module)

    @property
    def vocabulary(self) -> list[str]:
        """The string of every token id."""
        return self._tokens.vocabulary

    def encode(self, text: str) -> tuple[np.ndarray, np.ndarray]:
        """Return ids and character spans, special tokens included."""
        return self._tokens.encode(text)

    def decode(self, ids: np.ndarray) -> list[str]:
        """Return the string of each id."""
        return self._tokens.decode(ids)

    def text_of(self, ids: np.ndarray) -> tuple[str, np.ndarray]:
        """Return the text that ids spell, and their spans in it."""
        return self._tokens.text_of(ids)

    def hashes(self) -> dict[str, str]:
        """Return the tokenizer's hash, for the provenance."""
        return {"tokenizer_hash": self._tokens.hash}

    def forward(self, ids: Tensor, lengths: Tensor, state: Any) -> tuple[Tensor | None, Any]:
        """Return logits (batch, steps, n_vocabulary), None where there are none, and None."""
        del state
        output = self.module(input_ids=ids, attention_mask=mask_of(lengths, ids))
        return (output.logits if self._has_predictions else None), None


class HuggingFaceDecoder(HuggingFaceText):
    """A language model: every token sees those before it.

    ``begin()`` gives an empty cache of keys and values, with which the text is read piece by
    piece; without it each forward is a whole pass.
    """

    predicts: Literal["next", "same"] = "next"

    def __init__(self, module: nn.Module, tokens: Tokens) -> None:
        super().__init__(module, tokens)
        self.end_ids = end_ids(module)
        taken = inspect.signature(module.forward).parameters
        # A state-space model keeps another state; it reads its text again for each position.
        self.begin = self._begin if "past_key_values" in taken else None

    def _begin(self) -> Any:
        """Return an empty cache of keys and values, to read a text piece by piece."""
        return empty_cache(self.module)

    def keep_rows(self, state: Any, n_rows: int) -> Any:
        """Return the cache of the first rows."""
        state.batch_select_indices(torch.arange(n_rows, device=_device(self.module)))
        return state

    def forward(self, ids: Tensor, lengths: Tensor, state: Any) -> tuple[Tensor | None, Any]:
        """Return logits (batch, steps, n_vocabulary), and the cache if one was given.

        Rows of a batch that is read with a cache are equally long.
        """
        if state is None:
            mask = mask_of(lengths, ids)
            return self.module(input_ids=ids, attention_mask=mask, use_cache=False).logits, None
        output = self.module(input_ids=ids, past_key_values=state, use_cache=True)
        return output.logits, output.past_key_values


class HuggingFacePairs:
    """An encoder–decoder that reads one text and writes another.

    Parameters
    ----------
    module : torch.nn.Module
        Called with ``input_ids``, ``attention_mask`` and ``decoder_input_ids``.
    tokens : Tokens
        Its tokenizer.
    """

    streams = (SOURCE, TARGET)
    predicts: Literal["next", "same"] = "next"
    carries_state = False

    def __init__(self, module: nn.Module, tokens: Tokens) -> None:
        self.module = module
        self._tokens = tokens
        self.context_length = context_length(module)
        self.end_ids = end_ids(module)
        self._start = _setting(module, "decoder_start_token_id")
        if self._start is None:
            raise ModelError(
                f"{type(module).__name__} names no decoder_start_token_id, so it is unknown what "
                "its decoder reads first; set it in config.json."
            )

    @property
    def vocabulary(self) -> list[str]:
        """The string of every token id; both streams share it."""
        return self._tokens.vocabulary

    @property
    def source_vocabulary(self) -> list[str]:
        """The string of every token id."""
        return self._tokens.vocabulary

    def encode(self, text: str, stream: str) -> tuple[np.ndarray, np.ndarray]:
        """Return ids and spans: the source as it is, the target as the decoder reads it."""
        ids, spans = self._tokens.encode(text, as_target=stream == TARGET)
        if stream == SOURCE:
            return ids, spans
        if len(ids) and int(ids[-1]) in self.end_ids:
            ids, spans = ids[:-1], spans[:-1]
        return np.concatenate([[self._start], ids]), np.concatenate([[[0, 0]], spans])

    def decode(self, ids: np.ndarray, stream: str = TARGET) -> list[str]:
        """Return the string of each id."""
        del stream
        return self._tokens.decode(ids)

    def text_of(self, ids: np.ndarray) -> tuple[str, np.ndarray]:
        """Return the text that ids of a target spell, and their spans in it."""
        text, spans = self._tokens.text_of(ids)
        n_space = len(text) - len(text.lstrip(" "))  # a sentence piece begins with a space
        return text[n_space:], np.maximum(spans - n_space, 0)

    def hashes(self) -> dict[str, str]:
        """Return the tokenizer's hash, for the provenance."""
        return {"tokenizer_hash": self._tokens.hash}

    def begin(self) -> dict[str, Any]:
        """Return the state before the first position of the target."""
        return {"cache": None, "mask": None, "encoded": None}

    def keep_rows(self, state: dict[str, Any], n_rows: int) -> dict[str, Any]:
        """Return the state of the first rows."""
        state["cache"].batch_select_indices(torch.arange(n_rows, device=_device(self.module)))
        mask = state["mask"]
        return {
            "cache": state["cache"],
            "mask": None if mask is None else mask[:n_rows],
            "encoded": state["encoded"][:n_rows],
        }

    def forward(
        self, ids: Mapping[str, Tensor], lengths: Mapping[str, Tensor], state: Any
    ) -> tuple[Tensor | None, Any]:
        """Return logits (batch, target steps, n_vocabulary), and the state if one was given."""
        if state is None or state["encoded"] is None:
            mask = mask_of(lengths[SOURCE], ids[SOURCE])
            given: dict[str, Any] = {"input_ids": ids[SOURCE], "attention_mask": mask}
        else:
            from transformers.modeling_outputs import BaseModelOutput

            mask, encoded = state["mask"], BaseModelOutput(last_hidden_state=state["encoded"])
            given = {"encoder_outputs": encoded, "attention_mask": mask}
        given["decoder_input_ids"] = ids[TARGET]
        if state is None:
            output = self.module(**given, use_cache=False)
            return getattr(output, "logits", None), None
        cache = state["cache"] or _pair_cache()
        output = self.module(**given, past_key_values=cache, use_cache=True)
        encoded = output.encoder_last_hidden_state
        return output.logits, {"cache": output.past_key_values, "mask": mask, "encoded": encoded}


def mask_of(lengths: Tensor, ids: Tensor) -> Tensor | None:
    """Return 1 at real positions of a batch padded at the end, None where there is no padding."""
    steps = ids.shape[1]
    if int(lengths.min()) == steps:
        return None
    mask = torch.arange(steps)[None] < lengths[:, None].cpu()
    return mask.long().to(ids.device)


def context_length(module: Any) -> int | None:
    """Return the most positions that a model takes at once, None where nothing limits them."""
    config = module.config.get_text_config()
    if "relative_attention_num_buckets" in config.to_dict() or hasattr(config, "clamp_len"):
        return None  # T5 and XLNet: relative positions, whatever the configuration says
    longest = getattr(config, "max_position_embeddings", None)
    if not isinstance(longest, int) or longest <= 0:
        return None
    for name, part in module.named_modules():
        # RoBERTa and its kin count positions from behind the padding token.
        if name.endswith("position_embeddings") and isinstance(part, nn.Embedding):
            if part.padding_idx is not None and part.num_embeddings == longest:
                return longest - part.padding_idx - 1
    return longest


def end_ids(module: Any) -> tuple[int, ...]:
    """Return the tokens with which a text ends."""
    found = _setting(module, "eos_token_id")
    if found is None:
        return ()
    return tuple(found) if isinstance(found, list | tuple) else (int(found),)


def empty_cache(module: Any) -> Any:
    """Return an empty cache of keys and values that keeps all of them.

    Models with other layers than attention need a cache of their own form.
    """
    from transformers import DynamicCache

    config = module.config.get_text_config()
    kinds = set(getattr(config, "layer_types", None) or ())
    plain = kinds <= {"full_attention", "sliding_attention", "chunked_attention"}
    # Without the configuration a sliding window's cache is not cut: the mask does it.
    return DynamicCache() if plain else DynamicCache(config=config)


def _pair_cache() -> Any:
    from transformers import DynamicCache, EncoderDecoderCache

    return EncoderDecoderCache(DynamicCache(), DynamicCache())


def _setting(module: Any, name: str) -> Any:
    for config in (module.config, getattr(module, "generation_config", None)):
        found = getattr(config, name, None)
        if found is not None:
            return found
    return None


def _device(module: nn.Module) -> torch.device:
    return next(module.parameters()).device
