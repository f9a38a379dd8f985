"""Letters to phonemes: the alphabet of both sides, and the adapter of both models.

Phones are those of the CMU Pronouncing Dictionary (ARPAbet) without stress.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from interp.errors import CorpusError, unknown_name

END, START = "<end>", "<start>"
LETTERS = [END, *"abcdefghijklmnopqrstuvwxyz'"]
PHONES = [
    END,
    START,
    *"AA AE AH AO AW AY B CH D DH EH ER EY F G HH IH IY JH K L M N NG OW OY P R S SH".split(),
    *"T TH UH UW V W Y Z ZH".split(),
]
#: The longest word, and the longest pronunciation, that the models read.
LONGEST = 32

_SOURCE_IDS = {letter: index for index, letter in enumerate(LETTERS)}
_TARGET_IDS = {phone: index for index, phone in enumerate(PHONES)}


class PronunciationAdapter:
    """One position per letter and one per phone, for a model of pairs.

    The source ends with an end symbol, the target that the decoder reads begins with a start
    symbol; both have empty spans.

    Parameters
    ----------
    module : torch.nn.Module
        Called as ``module(source, source_lengths, target)``, returns logits
        (batch, target steps, phones).
    steps : tuple of str
        Modules that the decoder calls once per step.
    """

    streams = ("source", "target")
    source_vocabulary = LETTERS
    vocabulary = PHONES
    predicts: Literal["next", "same"] = "next"
    carries_state = False
    context_length = LONGEST
    end_ids = (_TARGET_IDS[END],)

    def __init__(self, module: nn.Module, steps: tuple[str, ...] = ()) -> None:
        self.module = module
        self.steps = steps

    def encode(self, text: str, stream: str) -> tuple[np.ndarray, np.ndarray]:
        """Return ids and spans (n_positions, 2) of a word or of a pronunciation.

        Parameters
        ----------
        text : str
            A word; or phones with spaces between, with or without the digits of stress.
        stream : {"source", "target"}

        Raises
        ------
        CorpusError
            If there is a letter or a phone that the models do not know.
        """
        if stream == "source":
            ids = [_letter(letter, text) for letter in text]
            spans = [(t, t + 1) for t in range(len(text))] + [(len(text), len(text))]
            return np.array([*ids, _SOURCE_IDS[END]], np.int32), np.array(spans)
        found = list(re.finditer(r"\S+", text))
        ids = [_phone(match.group(), text) for match in found]
        spans = [(0, 0)] + [match.span() for match in found]
        return np.array([_TARGET_IDS[START], *ids], np.int32), np.array(spans)

    def decode(self, ids: np.ndarray, stream: str) -> list[str]:
        """Return the letter or the phone of each id."""
        names = LETTERS if stream == "source" else PHONES
        return [names[index] for index in np.asarray(ids).tolist()]

    def text_of(self, ids: np.ndarray) -> tuple[str, np.ndarray]:
        """Return generated phones as text with spaces between, and their spans."""
        text, spans = "", []
        for phone in self.decode(ids, "target"):
            if phone in (START, END):
                spans.append((len(text), len(text)))
                continue
            text += (" " if text else "") + phone
            spans.append((len(text) - len(phone), len(text)))
        return text, np.array(spans).reshape(-1, 2)

    def forward(
        self, ids: Mapping[str, Tensor], lengths: Mapping[str, Tensor], state: Any
    ) -> tuple[Tensor, Any]:
        """Return logits (batch, target steps, n_phones) of the next phone, and no state.

        Parameters
        ----------
        ids, lengths : mapping of stream to Tensor
            Padded at the end; padding changes nothing at real positions.
        state : None
        """
        del state
        return self.module(ids["source"].long(), lengths["source"], ids["target"].long()), None


def padding(lengths: Tensor, n_steps: int) -> Tensor:
    """Return which of `n_steps` positions are real, (batch, n_steps) bool."""
    return torch.arange(n_steps, device=lengths.device)[None] < lengths[:, None]


def build(config: dict[str, Any]) -> PronunciationAdapter:
    """Return a freshly initialised model of this shape, in eval mode, with its adapter."""
    from interp.models.recurrent_pair import RecurrentPair, RecurrentPairConfig
    from interp.models.transformer_pair import TransformerPair, TransformerPairConfig

    with torch.no_grad():
        if config["kind"] == "g2p-gru":
            recurrent = RecurrentPair(RecurrentPairConfig(**config)).eval()
            return PronunciationAdapter(recurrent, ("decoder.attention", "decoder.cell"))
        return PronunciationAdapter(TransformerPair(TransformerPairConfig(**config)).eval())


def _letter(letter: str, word: str) -> int:
    index = _SOURCE_IDS.get(letter.lower())
    if index is None:
        raise CorpusError(
            f"The model reads letters a to z and the apostrophe; {word!r} holds {letter!r}. "
            "Give one word per document, without spaces and accents."
        )
    return index


def _phone(phone: str, text: str) -> int:
    bare = phone.rstrip("012")
    if bare not in _TARGET_IDS:
        raise CorpusError(
            f"In {text!r}: {unknown_name('phone', phone, PHONES[2:])} Phones are those of the CMU "
            "Pronouncing Dictionary, with spaces between them."
        )
    return _TARGET_IDS[bare]
