"""The state that goes from one window to the next, for the rows that go on."""

from __future__ import annotations

from typing import Any

import torch

from interp.errors import ModelError
from interp.wording import kind_of


def keep_rows(state: Any, n_rows: int, n_before: int, adapter: Any = None) -> Any:
    """Return `state` for the first `n_rows` of the `n_before` rows of a batch.

    Rows of a batch stand longest first, so those that go on are always the first ones.

    Parameters
    ----------
    state : object
        What the adapter's ``forward`` returned: tensors, or tuples, lists and dictionaries of
        them. The batch is axis 1 of tensors with three or more axes (torch's recurrent nets:
        layers first) and axis 0 of tensors with fewer (torch's cells).
    n_rows, n_before : int
        Rows wanted, rows there.
    adapter : object, optional
        If it has ``keep_rows(state, n_rows)``, that decides instead.

    Raises
    ------
    ModelError
        If a tensor has no such axis, or the state is of another kind.
    """
    if state is None or n_rows == n_before:
        return state
    own = getattr(adapter, "keep_rows", None)
    if own is not None:
        return own(state, n_rows)
    return _keep(state, n_rows, n_before)


def _keep(state: Any, n_rows: int, n_before: int) -> Any:
    if isinstance(state, torch.Tensor):
        axis = 1 if state.ndim >= 3 else 0
        if state.ndim == 0 or state.shape[axis] != n_before:
            raise ModelError(
                f"The state has a tensor of shape {tuple(state.shape)} for a batch of {n_before} "
                "rows; its batch axis cannot be told. Give the adapter keep_rows(state, n_rows), "
                "which returns the state of the first n_rows."
            )
        # A fused kernel wants contiguous states, and the copy lets the longer one go.
        return state.narrow(axis, 0, n_rows).contiguous()
    if isinstance(state, dict):
        return {key: _keep(part, n_rows, n_before) for key, part in state.items()}
    if isinstance(state, tuple) and hasattr(state, "_fields"):
        return type(state)(*(_keep(part, n_rows, n_before) for part in state))
    if isinstance(state, tuple | list):
        return type(state)(_keep(part, n_rows, n_before) for part in state)
    if state is None:
        return None
    raise ModelError(
        f"The adapter's state holds {kind_of(state)}, whose rows cannot be told apart; "
        "give the adapter keep_rows(state, n_rows), which returns the state of the first n_rows."
    )
