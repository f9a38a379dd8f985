"""Why a recording cannot be resumed from a plan: the first thing that differs, in words."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import h5py
import numpy as np

from interp.storage import schema
from interp.storage.attention_layout import read_plans
from interp.storage.layout import read_site, site_names, stream_names
from interp.storage.packed import PackedStrings
from interp.storage.plan import RecordingPlan
from interp.storage.stream_plan import StreamPlan
from interp.storage.strings import read_json


def describe_difference(file: h5py.File, plan: RecordingPlan) -> str:
    """Return what differs between a recording and a plan, or an empty string."""
    there: dict[str, str] = read_json(file, schema.DIGESTS)
    asked = plan.part_digests()
    del there["provenance"], asked["provenance"]  # another day, another command: the same run
    if there == asked:
        return ""
    if there["model"] != asked["model"]:
        found = read_json(file, schema.PROVENANCE).get("model")
        return f"the model differs{_change(found, plan.provenance.get('model'))}"
    if stream_names(file) != list(plan.stream):
        return f"it has the streams {stream_names(file)}, asked for are {list(plan.stream)}."
    for stream in plan.streams:
        if there[f"stream {stream.name}"] != asked[f"stream {stream.name}"]:
            return f"the corpus differs: {_stream_difference(file, stream)}"
    if there["sites"] != asked["sites"]:
        return f"the sites differ: {_site_difference(file, plan)}"
    if there.get("attention") != asked.get("attention"):
        return f"the attention sites differ: {_attention_difference(file, plan)}"
    if there["schedule"] != asked["schedule"]:
        found = read_json(file, schema.SCHEDULE)
        return f"the schedule differs{_change(found, dict(plan.schedule))}"
    part = next(name for name, digest in asked.items() if there.get(name) != digest)
    return f"the {part} differ from those of the recording."


def _change(found: Any, asked: Any) -> str:
    """Name the entries that differ between two JSON values."""
    if isinstance(found, dict) and isinstance(asked, dict):
        keys = [key for key in {**found, **asked} if found.get(key) != asked.get(key)]
        changes = [f"{key} was {found.get(key)!r}, now {asked.get(key)!r}" for key in keys[:3]]
        return f": {'; '.join(changes)}."
    return f": it was {found!r}, now {asked!r}."


def _stream_difference(file: h5py.File, stream: StreamPlan) -> str:
    group = file[schema.STREAMS][stream.name]
    names = PackedStrings(group, schema.DOCUMENT_NAME)
    if len(names) != stream.n_documents:
        return f"it had {len(names):,} documents, now there are {stream.n_documents:,}."
    lengths = np.diff(group[schema.DOCUMENT_START][:])
    for i, asked in enumerate(stream.document_names):
        if names[i] != asked:
            return f"document {i} was {names[i]!r}, now it is {asked!r}."
        n_positions = int(stream.document_start[i + 1] - stream.document_start[i])
        if lengths[i] != n_positions:
            return f"document {i} ({asked!r}) had {lengths[i]:,} positions, now {n_positions:,}."
    if stream.texts is not None and schema.TEXT in group:
        texts = PackedStrings(group, schema.TEXT)
        for i, text in enumerate(stream.texts):
            if texts[i] != text:
                return f"the text of document {i} ({names[i]!r}) has changed."
    return "its tokens, spans or vocabulary have changed."


def _attention_difference(file: h5py.File, plan: RecordingPlan) -> str:
    there = read_plans(file) if schema.ATTENTION_NAMES in file else {}
    if gone := [name for name in there if name not in plan.attention]:
        return f"it records {', '.join(gone[:5])}, which is not asked for now."
    if new := [name for name in plan.attention if name not in there]:
        return f"{', '.join(new[:5])} is asked for, but not in the recording."
    for name, asked in plan.attention.items():
        found, wanted = there[name].site, asked.site
        for what in ("form_text", "dtype", "keys"):
            if getattr(found, what) != getattr(wanted, what):
                shown = what.removesuffix("_text")
                return f"{shown} of {name} was {getattr(found, what)}, now {getattr(wanted, what)}."
        if found != wanted:
            return f"in {name}{_change(asdict(found), asdict(wanted))}"
    return "their key ranges, statistics or order have changed."


def _site_difference(file: h5py.File, plan: RecordingPlan) -> str:
    there, asked = site_names(file), list(plan.sites)
    if gone := [name for name in there if name not in asked]:
        return f"it records {', '.join(gone[:5])}, which is not asked for now."
    if new := [name for name in asked if name not in there]:
        return f"{', '.join(new[:5])} is asked for, but not in the recording."
    for name in asked:
        found, wanted = read_site(file, name), plan.sites[name]
        if found != wanted:
            return f"in {name}{_change(asdict(found), asdict(wanted))}"
    return "they come in another order."
