"""What a head writes when it attends to a token: its value and output weights, found by their work.

The weights of a head are identified by numbers, not by names: the module whose outputs are the
recorded values holds the value weights, the one whose inputs are the recorded head outputs holds
the output weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from interp.errors import InterpError


def _score(circuit: np.ndarray) -> float:
    eigenvalues = np.linalg.eigvals(circuit)
    size = np.abs(eigenvalues).sum()
    return float(eigenvalues.real.sum() / size) if size > 0 else float("nan")


@dataclass(frozen=True, eq=False)
class Circuits:
    """The weights around the heads of some sites.

    Attributes
    ----------
    embedding : ndarray (n_vocabulary, width)
    unembedding : ndarray (width, n_vocabulary)
    value : dict of str to ndarray (n_heads, width, head_dim)
        By attention site.
    output : dict of str to ndarray (n_heads, head_dim, width)
    """

    embedding: np.ndarray
    unembedding: np.ndarray
    value: dict[str, np.ndarray]
    output: dict[str, np.ndarray]

    @cached_property
    def ends(self) -> np.ndarray:
        """W_U W_E, (width, width): with a large vocabulary nearly all of the work, and shared."""
        return self.unembedding @ self.embedding

    def copying(self, site: str) -> list[float]:
        """Return how far the OV circuit of each head raises the logit of what it attends to.

        The sum of the real parts of the eigenvalues of W_E W_V W_O W_U over the sum of their sizes
        (Elhage et al. 2021, A Mathematical Framework for Transformer Circuits): 1 copies, -1
        suppresses, 0 does neither, NaN if the circuit is zero. Its non-zero eigenvalues are those
        of the small matrix W_O W_U W_E W_V. Layer norms, biases and other layers are left out: it
        speaks of the direct path only.
        """
        pairs = zip(self.value[site], self.output[site], strict=True)
        return [_score(output @ self.ends @ value) for value, output in pairs]


class _Columns:
    """Values (rows, columns) of which a column is found by what it holds."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = values

    @cached_property
    def known(self) -> dict[bytes, list[int]]:
        """Where each column stands; made once, since every head asks."""
        found: dict[bytes, list[int]] = {}
        for i, key in enumerate(_keys(self.values)):
            found.setdefault(key, []).append(i)
        return found

    def places(self, wanted: np.ndarray) -> np.ndarray | None:
        """Return where each wanted column stands; the next place where several are equal."""
        where: list[int] = []
        for key in _keys(wanted):
            places = self.known.get(key)
            if not places:
                return None
            following = where[-1] + 1 if where else 0
            where.append(following if following in places else places[0])
        return np.array(where)


def _keys(values: np.ndarray) -> Iterator[bytes]:
    for column in np.ascontiguousarray(values.T, np.float32):
        yield column.tobytes()


@dataclass
class _Call:
    """What one module with a weight matrix read and wrote, (rows, in) and (rows, out)."""

    module: Any
    read: _Columns
    wrote: _Columns

    def matrix(self) -> np.ndarray | None:
        """Return the weights as (in, out), or None where they don't give what was written."""
        weight = self.module.weight.detach().double().cpu().numpy()
        bias = getattr(self.module, "bias", None)
        shift = 0.0 if bias is None else bias.detach().double().cpu().numpy()
        for matrix in (weight.T, weight):
            read, wrote = self.read.values, self.wrote.values
            if matrix.shape == (read.shape[1], wrote.shape[1]) and np.allclose(
                read @ matrix + shift, wrote, rtol=1e-3, atol=1e-4
            ):
                return matrix
        return None


def find_circuits(module: Any, sites: list[str], ids: np.ndarray, forward: Callable) -> Circuits:
    """Return the weights around the heads of some sites, by running the model once.

    Parameters
    ----------
    module : torch.nn.Module
    sites : list of str
        Attention sites.
    ids : ndarray (batch, steps) int64
        Tokens to run on.
    forward : callable
        Runs the model on `ids` and returns logits (batch, steps, n_vocabulary).

    Raises
    ------
    InterpError
        If a head's weights are not found among the model's linear layers.
    """
    from interp import Recorder

    wanted = [f"{site.rpartition('/')[0]}/{part}" for site in sites for part in _PARTS]
    calls: list[_Call] = []
    embeddings: list[Any] = []
    handles = [
        part.register_forward_hook(_listener(calls, embeddings, ids))
        for part in module.modules()
        if getattr(getattr(part, "weight", None), "ndim", 0) == 2
    ]
    try:
        with Recorder(module, sites=wanted) as recorder:
            logits = _rows(forward())
    finally:
        for handle in handles:
            handle.remove()
    embedding, unembedding = _ends(embeddings, calls, logits)
    value, output = {}, {}
    for site in sites:
        place = site.rpartition("/")[0]
        # (batch, heads, positions, head_dim) -> (rows, heads · head_dim)
        values, results = (recorder[f"{place}/{part}"].float() for part in _PARTS)
        n_heads, head_dim = results.shape[1], results.shape[3]
        found = _columns(values, [(call, call.wrote) for call in calls])
        v = _matrix(found, site)[:, found[1]].reshape(-1, values.shape[1], values.shape[3])
        v = np.repeat(v.transpose(1, 0, 2), n_heads // values.shape[1], axis=0)
        found = _columns(results, [(call, call.read) for call in calls])
        o = _matrix(found, site)[found[1]].reshape(n_heads, head_dim, -1)
        if v.shape[1] != embedding.shape[1] or o.shape[2] != unembedding.shape[0]:
            raise InterpError(f"{site} reads or writes another width than the embedding's.")
        value[site], output[site] = v, o
    return Circuits(embedding, unembedding, value, output)


_PARTS = ("value", "head_output")


def _listener(calls: list[_Call], embeddings: list[Any], ids: np.ndarray) -> Callable:
    import torch

    def listen(part: Any, given: tuple[Any, ...], result: Any) -> None:
        if isinstance(part, torch.nn.Embedding):
            if given[0].shape == ids.shape and (given[0].cpu().numpy() == ids).all():
                embeddings.append(part)
        elif given and isinstance(result, torch.Tensor) and given[0].ndim == result.ndim > 1:
            calls.append(_Call(part, _Columns(_rows(given[0])), _Columns(_rows(result))))

    return listen


def _rows(values: Any) -> np.ndarray:
    found = values.detach().float().cpu().numpy()
    return found.reshape(-1, found.shape[-1])


def _columns(parts: Any, candidates: list[tuple[_Call, _Columns]]) -> tuple[_Call | None, Any]:
    """Return the call that has all columns of `parts` among its own, and where they stand."""
    wanted = parts.transpose(1, 2).reshape(-1, parts.shape[1] * parts.shape[3]).numpy()
    for call, columns in candidates:
        n_rows, n_columns = columns.values.shape
        if n_rows != wanted.shape[0] or n_columns < wanted.shape[1]:
            continue
        where = columns.places(wanted)
        if where is not None:
            return call, where
    return None, np.zeros(0, np.int64)


def _matrix(found: tuple[_Call | None, Any], site: str) -> np.ndarray:
    matrix = None if found[0] is None else found[0].matrix()
    if matrix is None:
        raise InterpError(f"No linear layer of the model makes what the heads of {site} use.")
    return matrix


def _ends(
    embeddings: list[Any], calls: list[_Call], logits: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return W_E and W_U; a read-out tied to the embedding is the embedding, transposed."""
    if not embeddings:
        raise InterpError("No embedding of the model reads the token ids.")
    embedding = embeddings[0].weight.detach().double().cpu().numpy()
    for call in reversed(calls):
        wrote = call.wrote.values
        if wrote.shape == logits.shape and np.allclose(wrote, logits, atol=1e-4):
            if call.module.weight is embeddings[0].weight:
                return embedding, embedding.T
            matrix = call.matrix()
            if matrix is not None:
                return embedding, matrix
    if len(embedding) == logits.shape[1]:
        return embedding, embedding.T
    raise InterpError("No linear layer of the model makes its logits.")
