"""Names of sites: how they are spelt, taken apart, described and matched.

A site is one place of a model where values are recorded: the path of a module, the layer and
direction inside a fused recurrent module, and the signal, as in ``encoder.lstm/l1_reverse/cell``.
Nothing here needs torch, so a recording can be read where no model can run.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote

from interp.errors import SiteError, unknown_name

OUTPUT = "output"
INPUT = "input"
HIDDEN = "hidden"
CELL = "cell"
LSTM_GATES = ("input_gate", "forget_gate", "cell_gate", "output_gate")
"""The gates of an LSTM in torch's order i, f, g, o."""
GRU_GATES = ("reset_gate", "update_gate", "new_gate")
"""The gates of a GRU in torch's order r, z, n."""
ATTENTION = "attention"
QUERY, KEY, VALUE, HEAD_OUTPUT = "query", "key", "value", "head_output"
ATTENTION_SIGNALS = (ATTENTION, QUERY, KEY, VALUE, HEAD_OUTPUT)
"""The weights of attention, (batch, n_heads, queries, keys), and what they were made from."""
SIGNALS = (INPUT, OUTPUT, HIDDEN, CELL, *LSTM_GATES, *GRU_GATES, *ATTENTION_SIGNALS)
"""Signals in the order in which a module's sites are listed."""

_ESCAPED = frozenset("%/:#*[] ")
_LAYER = re.compile(r"l(\d+)(_reverse)?")


@dataclass(frozen=True)
class SiteDescription:
    """What a site holds.

    Attributes
    ----------
    name : str
        The whole name, such as ``"lstm/l0/cell"``.
    module : str
        The module's path in the model as torch spells it, such as ``"encoder.lstm"``; a model
        that is itself the module goes by its class in lower case.
    signal : str
        What is recorded there, such as ``"cell"``.
    n_units : int
        Length of the last axis.
    dtype : str
        NumPy's name of the type the model produced, or ``"bfloat16"``.
    stream : str
        The axis of positions the site belongs to.
    layer : int or None
        The layer inside a fused recurrent module.
    direction : {"forward", "reverse"} or None
        The direction inside a fused recurrent module.
    per : {"position", "call"}
        ``"call"`` when the values have no axis of steps and keep their own shape.
    n_heads : int or None
        Heads of an attention site.
    key_stream : str or None
        The stream of an attention site's keys.
    """

    name: str
    module: str
    signal: str
    n_units: int
    dtype: str
    stream: str = "text"
    layer: int | None = None
    direction: str | None = None
    per: str = "position"
    n_heads: int | None = None
    key_stream: str | None = None


@dataclass(frozen=True)
class SiteName:
    """A site's name, taken apart; `str` puts it together again.

    Attributes
    ----------
    module : str
        The module's path, not escaped.
    signal : str
        The signal, not escaped.
    layer : int or None
        The layer inside a fused recurrent module.
    reverse : bool
        Whether it is the layer's reverse direction.
    """

    module: str
    signal: str
    layer: int | None = None
    reverse: bool = False

    @property
    def direction(self) -> str | None:
        """``"forward"`` or ``"reverse"`` inside a fused recurrent module, else None."""
        if self.layer is None:
            return None
        return "reverse" if self.reverse else "forward"

    def __str__(self) -> str:
        parts = [escape(self.module)]
        if self.layer is not None:
            parts.append(f"l{self.layer}{'_reverse' if self.reverse else ''}")
        return "/".join([*parts, escape(self.signal)])

    @classmethod
    @lru_cache(maxsize=4096)
    def parse(cls, name: str) -> SiteName:
        """Take a site's name apart.

        Raises
        ------
        SiteError
            When `name` is not of the form ``module/signal`` or ``module/layer/signal``.
        """
        parts = name.split("/")
        if not all(parts) or not 2 <= len(parts) <= 3:
            raise SiteError(_malformed(name))
        module, signal = unquote(parts[0]), unquote(parts[-1])
        if len(parts) == 2:
            return cls(module, signal)
        layer = _LAYER.fullmatch(parts[1])
        if layer is None:
            raise SiteError(_malformed(name))
        return cls(module, signal, int(layer[1]), bool(layer[2]))


def _malformed(name: str) -> str:
    return (
        f"{name!r} is not the name of a site. A site is module/signal, such as 'decoder/output', "
        "or module/layer/signal inside a recurrent module, such as 'lstm/l0/cell'."
    )


@lru_cache(maxsize=4096)
def escape(text: str) -> str:
    """Return `text` with the characters that mean something in a site's name percent-escaped.

    These are ``% / : # * [ ]``, spaces and control characters; dots stay, they separate modules.
    `urllib.parse.unquote` undoes it.
    """
    return "".join(
        "".join(f"%{byte:02X}" for byte in character.encode())
        if character in _ESCAPED or not character.isprintable()
        else character
        for character in text
    )


def as_patterns(patterns: Iterable[str] | str) -> tuple[str, ...]:
    """Return one pattern or several as a tuple, without duplicates.

    Raises
    ------
    SiteError
        When there is none, or something is not a string.
    """
    found = (patterns,) if isinstance(patterns, str) else tuple(dict.fromkeys(patterns))
    for pattern in found:
        if not isinstance(pattern, str):
            raise SiteError(
                f"A site is named by a string, not by {type(pattern).__name__}: {pattern!r}."
            )
    if not found or not all(found):
        raise SiteError("No site was asked for. Name some, such as sites=['**/hidden'].")
    return found


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """Return the expression for `pattern`, to be used with ``fullmatch``.

    ``*`` and ``**`` both stand for any run of characters, across dots and slashes.
    """
    return re.compile(".*".join(map(re.escape, re.split(r"\*+", pattern))), re.DOTALL)


#: Where the names of sites are found: those of a model, those of a recording.
OF_MODEL = "List them with `interp sites MODEL` or interp.capture.list_sites."
OF_RECORDING = "`interp info RUN` lists what is recorded."


def match_sites(
    patterns: Iterable[str] | str, names: Sequence[str], hint: str = OF_MODEL
) -> list[str]:
    """Return the names that any of the patterns matches, in the order of `names`.

    Parameters
    ----------
    patterns : str or iterable of str
        Exact names, or patterns in which ``*`` and ``**`` stand for any run of characters, across
        dots and slashes: ``"lstm/*"``, ``"**/cell"``.
    names : sequence of str
        The sites there are, in model order.
    hint : str
        Ends the message about a pattern that matches nothing.

    Returns
    -------
    list of str
        Without duplicates.

    Raises
    ------
    SiteError
        When a pattern matches nothing; the message has the nearest names.
    """
    chosen: set[str] = set()
    for pattern in as_patterns(patterns):
        matches = compile_pattern(pattern).fullmatch
        found = [name for name in names if matches(name)]
        if not found:
            raise SiteError(no_match(pattern, names, hint))
        chosen.update(found)
    return [name for name in dict.fromkeys(names) if name in chosen]


def no_match(pattern: str, names: Iterable[str], hint: str = OF_MODEL) -> str:
    """Return the message for a pattern that matches none of `names`."""
    if "*" not in pattern:
        return unknown_name("site", pattern, names, hint)
    found = unknown_name("site", pattern.replace("*", ""), names, hint).partition("; ")[2]
    return f"The pattern {pattern!r} matches no site; {found}"
