"""A net written by hand: one unit knows that a bracket is open and is read, its copy is not."""

import numpy as np
import torch

import interp
from interp.models.characters import CharacterAdapter, CharacterLanguageModel, CharacterModelConfig

VOCABULARY = ["\ufffd", "(", ")", "a", "b"]
USED, COPY, N_UNITS = 0, 1, 36


def build(seed=0):
    """Return the adapter: unit USED opens at "(", closes at ")", and makes ")" likely."""
    torch.manual_seed(seed)
    config = CharacterModelConfig("lstm", 1, N_UNITS, len(VOCABULARY), len(VOCABULARY))
    module = CharacterLanguageModel(config)
    lstm, head, n = module.lstm, module.head, N_UNITS
    with torch.no_grad():
        module.embedding.weight.copy_(torch.eye(len(VOCABULARY)))
        for part in lstm.parameters():
            part.uniform_(-0.5, 0.5)
        for unit in (USED, COPY):
            rows = [gate * n + unit for gate in range(4)]  # i, f, g, o
            for part in lstm.parameters():
                part[rows] = 0
            bias, read = lstm.bias_ih_l0, lstm.weight_ih_l0
            bias[rows[0]], read[rows[0], 1] = -12, 24  # lets in at "("
            bias[rows[1]], read[rows[1], 2] = 12, -24  # forgets at ")"
            bias[rows[2]], bias[rows[3]] = 6, 12
            lstm.weight_hh_l0[:, unit] = 0  # nobody but the read-out hears of it
        head.weight.uniform_(-0.05, 0.05)
        head.weight[:, COPY] = 0
        head.weight[2, USED] = 10
        head.bias.zero_()
        head.bias[2] = -6
    return CharacterAdapter(module.eval(), VOCABULARY)


def other():
    """Return a net of the same shape with other weights."""
    return build(seed=1)


def texts(n_documents=24, n_characters=200, seed=0):
    """Return documents of letters in which a bracket is open for a while now and then."""
    rng = np.random.default_rng(seed)
    found = {}
    for index in range(n_documents):
        parts = []
        while sum(map(len, parts)) < n_characters:
            free, inside = ("".join(rng.choice(["a", "b"], rng.integers(3, 12))) for _ in range(2))
            parts.append(f"{free}({inside})")
        found[f"doc{index}.txt"] = "".join(parts)
    return found


def record(path, n_documents=24, n_characters=200, **options):
    """Record the net over such texts, with the annotation `open`; return the path."""
    documents = texts(n_documents, n_characters)
    model = options.pop("model", "py:tests.probes.brackets:build")
    options = {"sites": ["lstm/*/hidden", "lstm/*/cell"], "dtype": "float32"} | options
    interp.record(model, documents, path, **options)
    state = []
    for text in documents.values():
        depth = np.cumsum([(c == "(") - (c == ")") for c in text])
        state.append(depth > 0)
    with interp.open(path) as recording:
        recording.write_annotation("open", np.concatenate(state), kind="binary")
    return path
