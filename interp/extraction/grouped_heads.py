"""Keys and values of grouped queries, in one form whatever a kernel was given.

Where several heads of queries share a head of keys and values, a model hands its kernel the shared
heads as they are, or repeated for each head of queries; which, may depend on whether a batch is
padded or a cache is in use. A recording has them once, as the model has them.
"""

from __future__ import annotations

from torch import Tensor

from interp.errors import CaptureError
from interp.sites import KEY, VALUE


def is_of_keys(signal: str) -> bool:
    """Return whether a signal's positions are those of the keys."""
    return signal in (KEY, VALUE)


def count_groups(values: Tensor) -> int:
    """Return how many different heads there are among (batch, heads, steps, width).

    Adjacent heads that are equal in every value are one.
    """
    heads = values.shape[1]
    return next(n for n in range(1, heads + 1) if heads % n == 0 and _is_repeated(values, n))


def with_heads(values: Tensor, n_heads: int, site: str) -> Tensor:
    """Return values (batch, heads, steps, width) with `n_heads` heads.

    Raises
    ------
    CaptureError
        If they are not repetitions of so many.
    """
    heads = values.shape[1]
    if heads == n_heads:
        return values
    if heads % n_heads == 0 and _is_repeated(values, n_heads):
        return values[:, :: heads // n_heads]
    if n_heads % heads == 0:
        return values.repeat_interleave(n_heads // heads, 1)
    raise CaptureError(
        f"Site {site} had {n_heads} heads in the first forward and has {heads} in a later one; "
        "such a site cannot be recorded into a file. Leave it out with --sites."
    )


def _is_repeated(values: Tensor, n: int) -> bool:
    batch, heads, steps, width = values.shape
    grouped = values.reshape(batch, n, heads // n, steps, width)
    return bool((grouped == grouped[:, :, :1]).all())
