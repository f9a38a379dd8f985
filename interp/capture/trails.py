"""Following the result of an attention call until the model uses it, to find its heads.

The numbers of `arrangement.number_rows` take the way that the result takes: through reshapes,
transpositions, splits and joins, until another kind of function reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from interp.capture.arrangement import (
    ELEMENTWISE,
    JOINS,
    LAYOUT,
    Arrangement,
    function_name,
    read,
    replay,
)
from interp.capture.tensor_tags import TensorTags, flat
from interp.capture.weighted_sums import summed_together


@dataclass(eq=False)
class Trail:
    """The way of one result.

    Attributes
    ----------
    shape : sequence of int
        Of the result, (..., queries, head_dim).
    at_end : callable
        Is given the arrangement when the result is used, or None where it doesn't show.
    last : Tensor or None
        The numbers as they lay when they were last moved.
    """

    shape: Sequence[int]
    at_end: Callable[[Arrangement | None], None]
    last: Tensor | None = None


@dataclass
class _Note:
    """What is noted on a tensor that the result has become."""

    numbers: Tensor
    trail: Trail


class Trails:
    """The trails that are being followed.

    Parameters
    ----------
    tags : TensorTags
        Where notes on tensors are kept.
    """

    def __init__(self, tags: TensorTags) -> None:
        self._tags = tags
        self._open: list[Trail] = []

    def start(self, trail: Trail, output: Tensor | None, numbers: Tensor | None) -> None:
        """Follow a trail from a tensor of the model, laid out as its numbers are."""
        self._open.append(trail)
        if output is not None and numbers is not None:
            self._tags[output] = _Note(numbers, trail)

    def end_here(self, trail: Trail) -> None:
        """End a trail where it is."""
        self.end(trail, trail.last)

    def end(self, trail: Trail, numbers: Tensor | None = None) -> None:
        """End a trail; with numbers if they lie where the result is used."""
        if trail in self._open:
            self._open.remove(trail)
            trail.last = None
            trail.at_end(None if numbers is None else read(numbers, trail.shape))

    def end_all(self) -> None:
        """End every trail where it is, such as with the model's output."""
        for trail in list(self._open):
            self.end_here(trail)

    def clear(self) -> None:
        """Follow nothing any more."""
        self._open.clear()

    def follow(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        result: Any,
    ) -> None:
        """Follow the trails through a function that has run."""
        if not self._open:
            return
        notes = [note for _, note in self._tags.among((*args, *kwargs.values()))]
        notes = [note for note in notes if isinstance(note, _Note) and note.trail in self._open]
        tensors = [value for value in flat((result,)) if isinstance(value, Tensor)]
        if not notes or not tensors:
            return
        with torch.no_grad():
            name = function_name(function)
            note = notes[0]
            if name in ELEMENTWISE and tensors[0].shape == note.numbers.shape:
                self._tags[tensors[0]] = note
            elif name in LAYOUT and not (name in JOINS and self._has_others(note, args, kwargs)):
                self._move(note, function, args, kwargs, tensors)
            else:
                for note in notes:
                    numbers = note.numbers
                    if name == "einsum":
                        numbers = summed_together(args, self._side(note, args), numbers)
                    self.end(note.trail, numbers)

    def _move(
        self,
        note: _Note,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        tensors: list[Tensor],
    ) -> None:
        def stand_in(value: Any) -> Any:
            found = self._tags.get(value)
            return found.numbers if self._is_of(note.trail, found) else value

        moved = replay(function, args, kwargs, stand_in)
        parts = [part for part in flat((moved,)) if isinstance(part, Tensor)]
        if [part.shape for part in parts] != [tensor.shape for tensor in tensors]:
            self.end(note.trail)
            return
        note.trail.last = parts[0]
        for tensor, part in zip(tensors, parts, strict=True):
            self._tags[tensor] = _Note(part, note.trail)

    def _has_others(self, note: _Note, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
        """Return whether there are tensors among the arguments that the trail didn't lead to."""
        tensors = [x for x in flat((*args, *kwargs.values())) if isinstance(x, Tensor)]
        return not all(self._is_of(note.trail, self._tags.get(tensor)) for tensor in tensors)

    def _side(self, note: _Note, args: tuple[Any, ...]) -> int:
        """Return which operand of an einsum a trail leads to."""
        operands = [value for value in flat(args) if isinstance(value, Tensor)]
        sides = [i for i, x in enumerate(operands) if self._is_of(note.trail, self._tags.get(x))]
        return sides[0]

    @staticmethod
    def _is_of(trail: Trail, found: Any) -> bool:
        return isinstance(found, _Note) and found.trail is trail
