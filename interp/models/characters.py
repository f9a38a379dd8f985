"""Character-level recurrent language models: the module, and its adapter to text."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

UNKNOWN = "\ufffd"
#: The unknown character, newline, tab, and printable ASCII.
PRINTABLE = [UNKNOWN, "\n", "\t", *map(chr, range(32, 127))]

KINDS = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}


@dataclass(frozen=True)
class CharacterModelConfig:
    """The shape of a :class:`CharacterLanguageModel`."""

    kind: Literal["lstm", "gru", "rnn"] = "lstm"
    n_layers: int = 2
    n_hidden: int = 512
    n_embedding: int = 64
    n_vocabulary: int = len(PRINTABLE)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a JSON-able dictionary."""
        return asdict(self)


class CharacterLanguageModel(nn.Module):
    """Embedding, a recurrent net, and a linear read-out of the next character.

    The recurrent net is the attribute named after its kind, so that its sites read
    ``lstm/l0/cell`` or ``gru/l0/hidden``.

    Parameters
    ----------
    config : CharacterModelConfig
        Kind and sizes.
    """

    def __init__(self, config: CharacterModelConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.n_vocabulary, config.n_embedding)
        recurrent = KINDS[config.kind](
            config.n_embedding, config.n_hidden, config.n_layers, batch_first=True
        )
        self.add_module(config.kind, recurrent)
        self.head = nn.Linear(config.n_hidden, config.n_vocabulary)
        if config.kind == "lstm":
            self._open_forget_gates(recurrent)

    @property
    def recurrent(self) -> nn.RNNBase:
        """The recurrent net, whatever its kind."""
        return getattr(self, self.config.kind)

    @staticmethod
    def _open_forget_gates(lstm: nn.Module) -> None:
        # A forget gate that starts half shut lets gradients die within ten steps
        # (Jozefowicz et al. 2015); torch adds two biases, so one carries the 1.
        for name, bias in lstm.named_parameters():
            if name.startswith("bias_ih"):
                quarter = bias.shape[0] // 4
                nn.init.ones_(bias.data[quarter : 2 * quarter])

    def forward(self, ids: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Return logits (batch, steps, n_vocabulary) of the next character, and the state.

        Parameters
        ----------
        ids : Tensor (batch, steps) int64
        state : optional
            What the previous call returned; None starts fresh.
        """
        hidden, state = self.recurrent(self.embedding(ids), state)
        return self.head(hidden), state


class CharacterAdapter:
    r"""One position per character, for a model called as ``module(ids, state)``.

    Parameters
    ----------
    module : torch.nn.Module
        Takes ids (batch, steps) and a state, returns logits and a state.
    vocabulary : list of str
        One character per id; must hold the unknown character ``"\ufffd"`` if texts may have
        characters outside it.
    """

    predicts: Literal["next", "same"] = "next"

    def __init__(self, module: nn.Module, vocabulary: list[str] | None = None) -> None:
        self.module = module
        # A model with a longest window starts each window anew; a recurrent one goes on.
        config = getattr(module, "config", None)
        self.context_length: int | None = getattr(config, "context_length", None)
        self.carries_state = self.context_length is None
        self.vocabulary = list(PRINTABLE if vocabulary is None else vocabulary)
        unknown = self.vocabulary.index(UNKNOWN) if UNKNOWN in self.vocabulary else -1
        self._unknown = unknown
        # ASCII through a table, the rest through a dictionary: encoding is then one numpy
        # look-up for source code.
        self._table = np.full(128, unknown, np.int32)
        self._wide: dict[int, int] = {}
        for index, character in enumerate(self.vocabulary):
            code = ord(character)
            if code < 128:
                self._table[code] = index
            else:
                self._wide[code] = index

    def encode(self, text: str) -> tuple[np.ndarray, None]:
        """Return ids (n_characters,) int32; every character is one position."""
        codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
        ids = np.full(len(codes), self._unknown, np.int32)
        narrow = codes < 128
        ids[narrow] = self._table[codes[narrow]]
        for where in np.flatnonzero(~narrow):
            ids[where] = self._wide.get(int(codes[where]), self._unknown)
        if self._unknown < 0 and (ids < 0).any():
            from interp.errors import CorpusError

            bad = chr(codes[np.flatnonzero(ids < 0)[0]])
            known = "".join(self.vocabulary)
            shown = f"it knows {known!r}; " if len(known) <= 64 else ""
            raise CorpusError(
                f"The model's vocabulary has no character {bad!r} and no unknown character; {shown}"
                "remove such characters from the corpus or add '\\ufffd' to the vocabulary."
            )
        return ids, None

    def decode(self, ids: np.ndarray) -> list[str]:
        """Return the character of each id."""
        return [self.vocabulary[index] for index in np.asarray(ids).tolist()]

    def forward(self, ids: Tensor, lengths: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Return logits (batch, steps, n_vocabulary) and the carried state.

        Padding stands at the end of a row and the net runs forward only, so nothing at a real
        position depends on it; `lengths` is not needed.
        """
        del lengths
        return self.module(ids, state)


def build(config: dict[str, Any]) -> CharacterAdapter:
    """Return a freshly initialised model of this shape, in eval mode, with its adapter."""
    with torch.no_grad():
        if config.get("kind") == "transformer":
            from interp.models.transformer import CharacterTransformer, TransformerConfig

            return CharacterAdapter(CharacterTransformer(TransformerConfig(**config)).eval())
        return CharacterAdapter(CharacterLanguageModel(CharacterModelConfig(**config)).eval())
