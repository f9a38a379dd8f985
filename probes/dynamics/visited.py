"""From a recording and its model to what a search for fixed points needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from interp.errors import InterpError, ModelError, unknown_name
from interp.sites import CELL, HIDDEN, SiteName
from probes.dynamics.gates import require_complete
from probes.dynamics.layers import recurrent_layers
from probes.dynamics.stack import Stack
from probes.dynamics.traces import run_and_trace

#: States that are read from a recording, at most.
MOST_STATES = 20_000


def stack_of(model: nn.Module, module: str | None = None) -> Stack:
    """Return the layers of one recurrent module of a model as a stack.

    Parameters
    ----------
    model : nn.Module
    module : str, optional
        Its path; not needed if there is only one.

    Raises
    ------
    ModelError
        If it has to be named, or there is none of that name.
    """
    layers = list(recurrent_layers(model).values())
    paths = list(dict.fromkeys(layer.module for layer in layers))
    if module is None and len(paths) > 1:
        raise ModelError(
            f"The model has several recurrent modules: {', '.join(paths)}. Name one: "
            f"--module {paths[0]}."
        )
    chosen = paths[0] if module is None else module
    if chosen not in paths:
        raise ModelError(unknown_name("recurrent module", chosen, paths))
    return Stack([layer for layer in layers if layer.module == chosen])


def visited_states(recording: Any, stack: Stack, seed: int = 0) -> np.ndarray:
    """Return recorded states of a stack, (n_visited, n_state), at most 20,000, drawn evenly.

    Raises
    ------
    InterpError
        If the recording lacks a layer's hidden state or cell, or has other sizes.
    """
    require_complete(recording)
    parts = []
    rows: np.ndarray | None = None
    for layer in stack.layers:
        for signal in (HIDDEN, CELL) if layer.kind == "lstm" else (HIDDEN,):
            site = str(SiteName(layer.module, signal, layer.index))
            if site not in recording.sites:
                raise InterpError(
                    f"{recording.path} lacks {site}, a part of the state. Record all of it: "
                    f"--sites '{layer.module}/*/hidden,{layer.module}/*/cell'."
                )
            array = recording[site]
            if rows is None:
                rng = np.random.default_rng(seed)
                rows = np.sort(rng.permutation(len(array))[:MOST_STATES])
            parts.append(array[rows].astype(np.float64))
    return np.concatenate(parts, axis=1)


def constant_input(
    loaded: Any, stack: Stack, inputs: Sequence[float] | None, token: str | None
) -> np.ndarray | Tensor | None:
    """Return the input under which the net is held, None for zeros.

    Raises
    ------
    InterpError
        If both are given, the token is not in the vocabulary, or a model of text has neither.
    """
    if inputs is not None and token is not None:
        raise InterpError("Hold the net under an --input or under a --token, not both.")
    if inputs is not None:
        return np.asarray(inputs, np.float64)
    if loaded.adapter is None:
        if token is not None:
            raise InterpError(f"{loaded.spec} reads no tokens; give --input numbers instead.")
        return None
    if token is None:
        raise InterpError(
            "Which input should be held constant? A model of text has other fixed points under "
            "every token: give --token, such as --token ' ', or --input numbers."
        )
    ids = np.asarray(loaded.adapter.encode(token)[0], np.int64)
    if len(ids) != 1:
        raise InterpError(f"--token is one token; {token!r} is {len(ids)} to this model.")
    batch = torch.from_numpy(ids)[None]
    trace = run_and_trace(
        loaded.module, batch, stack.layers[:1],
        lambda model, ids: loaded.adapter.forward(ids, torch.tensor([1]), None),
    )  # fmt: skip
    return trace[stack.layers[0].name].inputs[0, 0]


def read_out_of(model: nn.Module, path: str) -> Callable[[Tensor], Tensor]:
    """Return a function from top hidden states to what the submodule at `path` makes of them.

    Raises
    ------
    ModelError
        If there is no such submodule, or it does not take hidden states.
    """
    modules = dict(model.named_modules())
    if path not in modules or not path:
        raise ModelError(unknown_name("module", path, [name for name in modules if name]))
    module = modules[path]

    def read(hidden: Tensor) -> Tensor:
        like = next(module.parameters(), hidden)
        try:
            return module(hidden.to(like))
        except RuntimeError as error:
            raise ModelError(
                f"{path} cannot be read at hidden states of {hidden.shape[1]} units: {error}"
            ) from error

    return read
