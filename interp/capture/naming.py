"""Naming a local value of a hand-written module, so that it can be recorded."""

from __future__ import annotations

from torch import Tensor

from interp.capture.mode import active
from interp.errors import CaptureError
from interp.sites import INPUT, OUTPUT


def name_value(name: str, value: Tensor) -> Tensor:
    """Name a local value in a module's ``forward``, and return it as it is.

    While a `Recorder` is active, the value is recorded at the site ``<module>/<name>``, where the
    module is the innermost one whose forward is running; without a recorder this does nothing.

    Parameters
    ----------
    name : str
        The signal's name, such as ``"gate"``.
    value : Tensor
        Any tensor.

    Returns
    -------
    Tensor
        `value`, the same object.

    Raises
    ------
    CaptureError
        While recording: when the name is empty, ``"input"`` or ``"output"``, or the value is not a
        tensor.

    Examples
    --------
    >>> import torch
    >>> from interp.capture import name_value
    >>> class Cell(torch.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.linear = torch.nn.Linear(8, 4)
    ...     def forward(self, x, h):
    ...         gate = name_value("gate", torch.sigmoid(self.linear(torch.cat([x, h], -1))))
    ...         return gate * h
    """
    if active.sessions:
        _record(name, value)
    return value


def _record(name: str, value: Tensor) -> None:
    if not isinstance(name, str) or name in ("", INPUT, OUTPUT):
        raise CaptureError(
            f"name_value({name!r}, ...): the name must be a string other than '', 'input' and "
            "'output', which stand for the module's own."
        )
    if not isinstance(value, Tensor):
        raise CaptureError(f"name_value({name!r}, ...) names tensors, not {type(value).__name__}.")
    for place in active.places():
        if place.wants(name):
            place.record(name, value, copy=True)
