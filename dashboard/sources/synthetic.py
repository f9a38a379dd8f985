"""Made-up units over real text, for trying the dashboard without a model.

The text is the Python standard library's own source. Unit 0 is on inside string literals, the
others wander smoothly; cell, hidden and gates of the made-up LSTM obey its equations.
"""

from __future__ import annotations

import io
import pathlib
import sysconfig
import tokenize

import numpy as np

from dashboard.sources.memory import MemorySource

MODULES = ("textwrap.py", "fnmatch.py", "shlex.py", "colorsys.py", "bisect.py", "string.py")


def string_mask(text: str) -> np.ndarray:
    """Return (n_characters,) bool, True inside a string literal, its delimiters excluded."""
    mask = np.zeros(len(text), bool)
    starts = np.concatenate([[0], np.cumsum([len(line) for line in text.splitlines(True)])])
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.STRING:
            body = token.string.lstrip("rRbBuUfF")
            quote = 3 if body[:3] in ('"""', "'''") else 1
            prefix = len(token.string) - len(body)
            start = starts[token.start[0] - 1] + token.start[1] + prefix + quote
            stop = starts[token.end[0] - 1] + token.end[1] - quote
            mask[start:stop] = True
    return mask


def _sigmoid(values: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-values))


def _smooth(noise: np.ndarray, keep: float) -> np.ndarray:
    """Return an exponential moving average over the first axis, of unit spread."""
    out = np.empty_like(noise)
    state = np.zeros(noise.shape[1], noise.dtype)
    for step, row in enumerate(noise):
        state = keep * state + (1 - keep) * row
        out[step] = state
    return out / out.std(0)


def made_up_lstm(mask: np.ndarray, n_units: int, seed: int) -> dict[str, np.ndarray]:
    """Return cell, hidden and gates that obey an LSTM's step, each (n_positions, n_units)."""
    rng = np.random.default_rng(seed)
    n = len(mask)
    drive = _smooth(rng.standard_normal((n, n_units)).astype(np.float32), 0.9)
    sign = np.where(mask, 1.0, -1.0).astype(np.float32)
    weight = np.zeros(n_units, np.float32)
    weight[0], weight[1 : min(n_units, 6)] = 5.0, rng.uniform(-1.5, 1.5, min(n_units, 6) - 1)
    cell_gate = np.tanh(drive * 0.8 + sign[:, None] * weight)
    input_gate = _sigmoid(0.6 * drive + 0.4)
    forget_gate = _sigmoid(1.2 + 0.7 * np.roll(drive, 7, 0))
    forget_gate[:, -1] = _sigmoid(6 + 0.3 * drive[:, -1])
    output_gate = _sigmoid(0.5 * np.roll(drive, 13, 0) + 0.8)
    cell = np.empty_like(cell_gate)
    state = np.zeros(n_units, np.float32)
    for step in range(n):
        state = forget_gate[step] * state + input_gate[step] * cell_gate[step]
        cell[step] = state
    parts = {
        "hidden": output_gate * np.tanh(cell),
        "cell": cell,
        "input_gate": input_gate,
        "forget_gate": forget_gate,
        "cell_gate": cell_gate,
        "output_gate": output_gate,
    }
    return {name: values.astype(np.float16) for name, values in parts.items()}


def synthetic_source(n_units: int = 64, seed: int = 0, name: str = "synthetic") -> MemorySource:
    """Return a source over a few modules of the standard library with two made-up LSTM layers."""
    root = pathlib.Path(sysconfig.get_paths()["stdlib"])
    documents = [(module, (root / module).read_text(encoding="utf-8")) for module in MODULES]
    text = "".join(body for _, body in documents)
    mask = np.concatenate([string_mask(body) for _, body in documents])
    sites = {}
    for layer in range(2):
        for signal, values in made_up_lstm(mask, n_units, seed + layer).items():
            sites[f"lstm/l{layer}/{signal}"] = values
    rng = np.random.default_rng(seed)
    following = text[1:] + "\n"
    letters = sorted(set(text))
    guesses = rng.integers(len(letters), size=(len(text), 4))
    probability = np.sort(rng.dirichlet(np.full(6, 0.4), len(text)), axis=1)[:, ::-1][:, :5]
    tokens = [[following[i], *(letters[j] for j in row)] for i, row in enumerate(guesses.tolist())]
    return MemorySource(
        documents,
        sites,
        annotations={"string": mask},
        loss=-np.log(probability[:, 0]),
        predictions=(tokens, probability.astype(np.float32)),
        provenance={"model": "made up", "seed": seed, "note": "No model was run: units are drawn."},
        name=name,
    )
