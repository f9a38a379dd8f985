"""What attention costs a recording, before the run, and what was kept, after it: in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from interp.extraction.attention_plans import statistics_for
from interp.storage import AttentionPlan, RecordingPlan
from interp.storage.attention_plan import attention_bytes, is_sparse
from interp.storage.attention_site import (
    FULL,
    STATS,
    SUGGESTED_MASS,
    TOP_P,
)
from interp.wording import count, size_text

#: From this size on full maps come with a suggestion.
LARGE_BYTES = 10**9


@dataclass(frozen=True)
class AttentionEstimate:
    """What the attention sites of a recording will take.

    Attributes
    ----------
    n_sites, n_heads : int
        Sites, and heads of all of them together.
    form, dtype : str
        As asked for: ``"full"``, ``"top-p:0.95"`` or ``"stats"``; the type of the weights.
    n_bytes : int
        In the file.
    most_keys : int
        Keys that a position sees, at most.
    sparse_bytes, statistics_bytes : int or None
        What ``top-p:0.95`` and ``stats`` would take; only where full maps are large.
    full_bytes : int or None
        What full maps would take; only where they are no larger than those of top-p.
    """

    n_sites: int
    n_heads: int
    form: str
    dtype: str
    n_bytes: int
    most_keys: int
    sparse_bytes: int | None = None
    statistics_bytes: int | None = None
    full_bytes: int | None = None

    def __str__(self) -> str:
        text = (
            f"{count(self.n_sites, 'attention site')} with {count(self.n_heads, 'head')}, "
            f"{_form_text(self.form, self.dtype)}: {size_text(self.n_bytes)} of it"
        )
        if self.form == STATS:
            return text
        text += (
            "; maps grow with the square of a document's length, here a position sees up to "
            f"{count(self.most_keys, 'key')}"
        )
        if self.full_bytes is not None:
            return (
                f"{text}. Full maps would take no more, {size_text(self.full_bytes)}: the weights "
                "are so even that most keys are kept, each with its number. --attention full "
                "leaves out nothing"
            )
        others = ((f"top-p:{SUGGESTED_MASS:g}", self.sparse_bytes), (STATS, self.statistics_bytes))
        less = [
            f"--attention {form} would take about {size_text(size)}"
            for form, size in others
            if size is not None and size < self.n_bytes
        ]
        return f"{text}. That is much: {', '.join(less)}" if less else text


def estimate_attention(
    plan: RecordingPlan, share: float, free_bytes: int
) -> AttentionEstimate | None:
    """Return what the attention sites of a plan will take, None if there are none.

    Parameters
    ----------
    plan : RecordingPlan
    share : float
        The part of full maps that top-p keeps, as measured on some documents.
    free_bytes : int
        On the disk.
    """
    if not plan.attention:
        return None
    sites = [item.site for item in plan.attention.values()]
    n_bytes = attention_bytes(plan)
    made = AttentionEstimate(
        n_sites=len(sites),
        n_heads=sum(site.n_heads or 0 for site in sites),
        form=sites[0].form_text,
        dtype=sites[0].dtype,
        n_bytes=n_bytes,
        most_keys=max(
            int(np.diff(item.key_ranges.astype(np.int64), axis=1).max(initial=0))
            for item in plan.attention.values()
        ),
    )
    if is_sparse(plan):
        full = attention_bytes(in_form(plan, FULL))
        return replace(made, full_bytes=full) if full <= n_bytes else made
    if not is_large(plan, free_bytes):
        return made
    others = {form: attention_bytes(in_form(plan, form, share)) for form in (TOP_P, STATS)}
    return replace(made, sparse_bytes=others[TOP_P], statistics_bytes=others[STATS])


def is_large(plan: RecordingPlan, free_bytes: int) -> bool:
    """Whether full maps take so much that something smaller should be suggested."""
    forms = {item.site.form for item in plan.attention.values()}
    return forms == {FULL} and attention_bytes(plan) >= min(LARGE_BYTES, free_bytes // 2)


def in_form(plan: RecordingPlan, form: str, share: float = 1.0) -> RecordingPlan:
    """Return a plan whose attention is kept in another form, of which top-p keeps a share."""
    attention: dict[str, AttentionPlan] = {}
    for name, item in plan.attention.items():
        mass = (item.site.mass or SUGGESTED_MASS) if form == TOP_P else None
        site = replace(item.site, form=form, mass=mass)
        has_tokens = plan.stream[site.stream].token_ids is not None
        kept = statistics_for(site, has_tokens, item.key_order is not None)
        attention[name] = replace(item, site=site, statistics=kept, expected_share=share)
    return replace(plan, attention=attention)


def kept_text(plans: Mapping[str, AttentionPlan], n_seen: int, n_kept: int) -> str:
    """Return what was kept of attention, in words; empty if nothing was recorded of it.

    Parameters
    ----------
    plans : mapping of str to AttentionPlan
    n_seen, n_kept : int
        Weights in sight in this run, and those that were kept.
    """
    if not plans:
        return ""
    sites = [plan.site for plan in plans.values()]
    heads = sum(site.n_heads or 0 for site in sites)
    text = (
        f"{count(len(sites), 'attention site')} with {count(heads, 'head')}: "
        f"{_form_text(sites[0].form_text, sites[0].dtype)}"
    )
    if sites[0].form == STATS:
        return text
    text += f", each weight within {sites[0].max_error:.2g}"
    if sites[0].form == TOP_P and n_seen:
        text += (
            f"; {n_kept / n_seen:.1%} of the weights hold at least {sites[0].mass:.4g} of each row"
        )
    return text


def _form_text(form: str, dtype: str) -> str:
    if form == STATS:
        return "statistics of each row"
    return f"{'full maps' if form == FULL else form} as {dtype}"
