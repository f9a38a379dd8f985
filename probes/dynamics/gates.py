"""Which sites of a recording are gates, and which gate carries which state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from interp.errors import InterpError, RecordingError
from interp.sites import CELL, HIDDEN, OF_RECORDING, SiteName, match_sites

#: Gates between 0 and 1; the candidates (cell_gate, new_gate) are a tanh between -1 and 1.
SIGMOID_GATES = ("input_gate", "forget_gate", "output_gate", "reset_gate", "update_gate")
#: The gate that multiplies the old state, and the state: c' = f c + i g; h' = (1 - z) n + z h.
CARRIES = {"forget_gate": CELL, "update_gate": HIDDEN}


@dataclass(frozen=True)
class Carry:
    """A layer's carry gate and the state that it carries.

    Attributes
    ----------
    layer : str
        The name without the signal, such as ``"lstm/l0"``.
    gate, state : str
        Sites.
    """

    layer: str
    gate: str
    state: str


def layer_name(site: str) -> str:
    """Return a site's name without its signal: ``"lstm/l0/cell"`` gives ``"lstm/l0"``."""
    return site.rpartition("/")[0]


def gate_sites(recording: Any, patterns: str | Sequence[str] | None) -> list[str]:
    """Return the recorded gates between 0 and 1 that match, in model order.

    Raises
    ------
    InterpError
        If there is none, with what to record.
    """
    chosen = [
        name for name in _matching(recording, patterns)
        if recording.sites[name].signal in SIGMOID_GATES
    ]  # fmt: skip
    if not chosen:
        raise InterpError(_none(recording, patterns, "gates", "'lstm/*_gate'"))
    return chosen


def carries(recording: Any, patterns: str | Sequence[str] | None) -> list[Carry]:
    """Return the layers whose carry gate matches and whose state is recorded too.

    Raises
    ------
    InterpError
        If no carry gate matches, or a layer's state is not in the recording.
    """
    found = []
    for name in _matching(recording, patterns):
        signal = recording.sites[name].signal
        if signal not in CARRIES:
            continue
        parts = SiteName.parse(name)
        state = str(SiteName(parts.module, CARRIES[signal], parts.layer, parts.reverse))
        if state not in recording.sites:
            raise InterpError(
                f"{name} is recorded without {state}, whose autocorrelation it is compared with; "
                f"record both: --sites '{name},{state}'."
            )
        found.append(Carry(layer_name(name), name, state))
    if not found:
        wanted = "'lstm/*/forget_gate,lstm/*/cell' or 'gru/*/update_gate,gru/*/hidden'"
        raise InterpError(_none(recording, patterns, "carry gates", wanted))
    return found


def require_complete(recording: Any) -> None:
    """Refuse a recording that is not complete: its missing rows read as NaN."""
    if not recording.is_complete:
        raise RecordingError(
            f"{recording.path} is incomplete ({recording.done_segments:,} of "
            f"{recording.n_segments:,} segments); resume it first, with interp record --resume."
        )


def _matching(recording: Any, patterns: str | Sequence[str] | None) -> list[str]:
    names = [name for name, site in recording.sites.items() if site.per == "position"]
    return names if patterns is None else match_sites(patterns, names, OF_RECORDING)


def _none(recording: Any, patterns: Any, what: str, wanted: str) -> str:
    asked = "this recording" if patterns is None else repr(patterns)
    shown = ", ".join(list(recording.sites)[:6]) or "nothing"
    return (
        f"{asked} has no {what} of a recurrent net; recorded: {shown}. Record them with "
        f"--sites {wanted} (a plain RNN has no gates)."
    )
