"""What the user may choose for a run, checked in one place."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from interp import arguments
from interp.errors import InterpError, RecordingError
from interp.storage.attention_site import MAX_ERROR, parse_form
from interp.storage.target import check_place, check_replaceable

#: Every hidden state of every recurrent layer.
DEFAULT_SITES = ("**/hidden",)
#: Of a model that has none.
ATTENTION_SITES = ("**/attention",)

_OPTIONAL = ("window", "stride", "generate")
_LEAST = {"batch_size": 1, "window": 1, "stride": 1, "generate": 1, "top_k": 0, "max_document": 1}

#: What says how attention is kept, and what it is when nothing is said.
_OF_ATTENTION = {"attention": "full", "attention_dtype": "float16", "attention_keys": "auto"}


@dataclass(frozen=True)
class Options:
    """Choices of a run; see :func:`interp.extraction.record` for each."""

    output: Path
    sites: tuple[str, ...] = DEFAULT_SITES
    dtype: str = "float16"
    batch_size: int = 32
    window: int | None = None
    stride: int | None = None
    generate: int | None = None
    temperature: float = 0.0
    top_k: int = 5
    max_document: int = 20_000
    device: str = "cpu"
    seed: int = 0
    steps: tuple[str, ...] = ()
    batch_first: bool = True
    nonfinite: str = "refuse"
    commit_interval_s: float = 5.0
    overwrite: bool = False
    resume: bool = False
    command: str | None = None
    attention: str = "full"
    attention_dtype: str = "float16"
    attention_keys: str = "auto"

    def __post_init__(self) -> None:
        self._check_types()
        parse_form(self.attention)
        _one_of("attention_dtype", self.attention_dtype, tuple(MAX_ERROR))
        _one_of("attention_keys", self.attention_keys, ("auto", "all"))
        if not 0 <= self.seed < 2**63:
            raise InterpError(f"seed must be from 0 to 2**63 - 1, got {self.seed}.")
        if self.temperature and self.generate is None:
            raise InterpError("temperature is for generate (--generate N).")
        if self.nonfinite not in ("refuse", "store"):
            raise InterpError(f"nonfinite is 'refuse' or 'store', got {self.nonfinite!r}.")
        if self.overwrite and self.resume:
            raise InterpError("Either resume what is in the file or overwrite it, not both.")

    def _check_types(self) -> None:
        """Refuse what is of another type; numbers of NumPy's become Python's, as JSON needs."""
        found: dict[str, Any] = {"seed": arguments.whole_number("seed", self.seed)}
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if value is not None or name not in _OPTIONAL:
                found[name] = arguments.whole_number(name, value, least)
        for name in ("temperature", "commit_interval_s"):
            found[name] = arguments.number(name, getattr(self, name))
        for name in ("batch_first", "overwrite", "resume"):
            found[name] = arguments.flag(name, getattr(self, name))
        arguments.text("attention", self.attention)
        for name, value in found.items():
            object.__setattr__(self, name, value)

    def check_attention(self, is_recorded: bool) -> None:
        """Refuse a choice about attention maps where none are recorded.

        Raises
        ------
        InterpError
            If one was made that would change nothing.
        """
        for name, usual in _OF_ATTENTION.items():
            value = getattr(self, name)
            if value != usual and not is_recorded:
                raise InterpError(
                    f"--{name.replace('_', '-')} {value} is about attention maps, and no attention "
                    "site is recorded. Add some to the sites, such as '**/attention', or leave the "
                    "option out."
                )

    def check_output(self) -> None:
        """Refuse an output that exists, or whose folder does not, before anything costs time.

        Raises
        ------
        RecordingError
            If the file cannot be created as asked.
        """
        if "\0" in str(self.output):
            raise RecordingError(f"No file can be named {str(self.output)!r}: it holds a NUL.")
        if not check_place(self.output):
            return
        if self.overwrite:
            check_replaceable(self.output)
        elif not self.resume:
            raise RecordingError(
                f"{self.output} exists. Continue it with --resume, replace it with --overwrite, "
                "or name another file."
            )


def _one_of(name: str, value: str, valid: tuple[str, ...]) -> None:
    if value not in valid:
        raise InterpError(f"{name} is one of {', '.join(valid)}; got {value!r}.")


def as_patterns(sites: str | Sequence[str] | None) -> tuple[str, ...]:
    """Return site patterns as a tuple; None means :data:`DEFAULT_SITES`.

    Raises
    ------
    InterpError
        If there are none.
    """
    if sites is None:
        return DEFAULT_SITES
    patterns = as_texts("sites", sites)
    if not patterns:
        raise InterpError("No sites to record; name some, such as sites=['lstm/*'].")
    return patterns


def as_texts(name: str, given: Any) -> tuple[str, ...]:
    """Return one string or several as a tuple."""
    if isinstance(given, str):
        return (given,)
    if not isinstance(given, Iterable) or isinstance(given, bytes):
        raise InterpError(f"{name} is text or a list of texts; got {arguments.shown(given)}.")
    return tuple(arguments.text(f"Each of {name}", part) for part in given)


def dtype_name(dtype: Any) -> str:
    """Return the name of a type that is given by its name, or as NumPy's or torch's.

    Whether values can be stored so is for :func:`interp.extraction.conversion.storage_dtype`.
    """
    if dtype is None or isinstance(dtype, str):
        return str(dtype)
    if type(dtype).__module__ == "torch":
        return str(dtype).removeprefix("torch.")
    try:
        return np.dtype(dtype).name
    except TypeError:
        return str(dtype)


def device_name(device: Any) -> str:
    """Return the name of a device that is given by it, or as torch's.

    Whether there is such a device is for :func:`interp.models.load`.
    """
    return str(device) if type(device).__module__ == "torch" else arguments.text("device", device)
