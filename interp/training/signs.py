"""The sign of a recurrent unit is arbitrary: turn it so that the rarer side is the positive one."""

from __future__ import annotations

import numpy as np
import torch

from interp.capture import Recorder
from interp.errors import ModelError
from interp.models.characters import CharacterAdapter, CharacterLanguageModel

#: The gate whose tanh gives a unit its sign, by its place among the gates that torch stacks.
SIGNED_GATE = {"lstm": 2, "gru": 2, "rnn": 0}


def turn_units(
    adapter: CharacterAdapter, documents: list[np.ndarray], limit: int = 8_000
) -> list[int]:
    """Turn in place each unit whose hidden state is skewed to the negative side.

    Training leaves it to chance whether a unit is high or low inside a string. Changing the sign
    of a unit's candidate and of every weight that reads its state gives the same function with
    the state negated; products of two changed signs are the same numbers, so the logits are too.
    A unit that is far from its mean only now and then is high there afterwards.

    Parameters
    ----------
    adapter : CharacterAdapter
        A recurrent character model.
    documents : list of ndarray
        Token ids, each read from a fresh state.
    limit : int
        Tokens read of each document.

    Returns
    -------
    list of int
        How many units were turned in each layer.

    Raises
    ------
    ModelError
        If the model is not recurrent.
    """
    model = adapter.module
    if not isinstance(model, CharacterLanguageModel):
        raise ModelError(f"Only units of a recurrent model have a sign to turn; this is a "
                         f"{type(model).__name__}.")  # fmt: skip
    turned = []
    for layer, hidden in enumerate(_hidden_states(model, documents, limit)):
        centred = hidden - hidden.mean(0)
        units = torch.nonzero((centred**3).mean(0) < 0)[:, 0]
        _turn(model, layer, units)
        turned.append(len(units))
    return turned


def _hidden_states(
    model: CharacterLanguageModel, documents: list[np.ndarray], limit: int
) -> list[torch.Tensor]:
    """Return each layer's hidden states, (n_positions, n_units) float64."""
    kind = model.config.kind
    sites = [f"{kind}/l{layer}/hidden" for layer in range(model.config.n_layers)]
    states: dict[str, list[torch.Tensor]] = {site: [] for site in sites}
    for document in documents:
        ids = torch.from_numpy(np.asarray(document[:limit], np.int64))[None]
        with torch.inference_mode(), Recorder(model, sites) as recorder:
            model(ids)
        for site in sites:
            states[site].append(recorder[site][0].double())
    return [torch.cat(states[site]) for site in sites]


def _turn(model: CharacterLanguageModel, layer: int, units: torch.Tensor) -> None:
    recurrent, config = model.recurrent, model.config
    rows = units + SIGNED_GATE[config.kind] * config.n_hidden
    last = layer + 1 == config.n_layers
    reader = model.head.weight if last else getattr(recurrent, f"weight_ih_l{layer + 1}")
    with torch.no_grad():
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            getattr(recurrent, f"{name}_l{layer}")[rows] *= -1
        getattr(recurrent, f"weight_hh_l{layer}")[:, units] *= -1
        reader[:, units] *= -1
