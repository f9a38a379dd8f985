"""What a command is asked about: a recording with its model, or a model with a corpus."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from interp.errors import InterpError, RecordingError
from probes.findings import plain
from probes.results import FORMAT, VERSION, write_result

if TYPE_CHECKING:
    from interp.models import LoadedModel

KIND = "dynamics"
_SCHEMES = ("zoo:", "py:", "hf:", "object:")


@dataclass
class Subject:
    """A model, and the documents it is run on.

    Attributes
    ----------
    loaded : LoadedModel
    recording : Recording or None
        Where the documents come from, and beside which results are kept.
    corpus : sequence of path or str
        Where they come from without a recording.
    """

    loaded: LoadedModel
    recording: Any = None
    corpus: Sequence[Any] = field(default_factory=list)

    @property
    def module(self) -> Any:
        """The model."""
        return self.loaded.module

    def documents(self) -> list[np.ndarray]:
        """Return the token ids of every document.

        Raises
        ------
        InterpError
            If there is neither a recording with tokens nor a corpus.
        """
        if self.recording is not None and not self.corpus:
            stream = self.recording.stream()
            if stream.token_ids is None:
                raise InterpError(
                    f"{self.recording.path} holds no tokens, so the model cannot be run on it "
                    "again. Call the function of probes.dynamics from Python with your batches."
                )
            start = stream.document_start.tolist()
            return [stream.token_ids[a:b] for a, b in zip(start[:-1], start[1:], strict=True)]
        if not self.corpus:
            raise InterpError(
                "Which text should the model read? Name a recording instead of the model, or give "
                "--corpus, such as --corpus stdlib:test or a folder."
            )
        from interp.corpora import read_corpus

        adapter = self.loaded.adapter
        assert adapter is not None
        return [np.asarray(adapter.encode(text.text)[0]) for text in read_corpus(self.corpus)]

    def keep(
        self, name: str, parameters: dict[str, Any], result: dict[str, Any], output: Path | None
    ) -> Path | None:
        """Write a result beside the recording, or to `output`; return the file, None without.

        Parameters
        ----------
        name : str
            Such as ``"weights"``.
        parameters, result : dict
        output : Path, optional
            A ``.json`` file, for a model without a recording.
        """
        parameters = parameters | {
            "model": self.loaded.spec, "weights_hash": self.loaded.weights_hash,
        }  # fmt: skip
        if output is not None:
            return write_model_result(output, name, parameters, result)
        if self.recording is None or not self.recording.is_complete:
            return None
        return write_result(self.recording, KIND, name, parameters, result)


@contextmanager
def open_subject(
    source: str,
    model: str | None = None,
    weights: Path | None = None,
    corpus: Sequence[Any] = (),
    random_init: bool = False,
    seed: int = 0,
) -> Iterator[Subject]:
    """Open what `source` names and load its model.

    Parameters
    ----------
    source : str
        A recording's path or a model's specification.
    model : str, optional
        Where a recording's model is, if its provenance does not lead there.
    weights : Path, optional
        Of a ``py:`` model.
    corpus : sequence, optional
        Text to read instead of a recording's.
    random_init : bool
        Draw the weights of a model afresh.
    seed : int
        Of that.

    Raises
    ------
    InterpError
        If there is no such recording or model.
    """
    import interp
    from interp.models.loading import load
    from probes.reloading import load_model_of

    # What is no file and has a colon is meant as a model, and `load` knows the nearest names.
    if source.startswith(_SCHEMES) or (":" in source and not Path(source).exists()):
        loaded = load(source, weights, random_init=random_init, seed=seed)
        yield Subject(loaded, corpus=list(corpus))
        return
    if random_init:
        raise InterpError(
            "A recording says which weights it was made with; --random-init goes with a model, "
            "such as zoo:code-lstm --corpus stdlib:test."
        )
    with interp.open(source) as recording:
        yield Subject(load_model_of(recording, model, weights), recording, list(corpus))


def write_model_result(
    path: Path, name: str, parameters: dict[str, Any], result: dict[str, Any]
) -> Path:
    """Write a result that belongs to a model, in the form of those beside a recording.

    It has the model's `weights_hash` in its parameters where others have a fingerprint.

    Raises
    ------
    RecordingError
        If the file cannot be written.
    """
    from interp.storage.atomic import replacing

    body = {
        "format": FORMAT,
        "version": VERSION,
        "kind": KIND,
        "name": name,
        "fingerprint": None,
        "parameters": plain(parameters),
        "result": plain(result),
    }
    if not path.parent.is_dir():
        raise RecordingError(f"There is no folder {path.parent} to write into.")
    with replacing(path) as temporary:
        Path(temporary).write_text(json.dumps(body, indent=1) + "\n", encoding="utf-8")
    return path
