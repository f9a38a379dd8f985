"""Pairs written as columns or as JSON lines are read as they were."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from interp.corpora import read_pairs

# What a column cannot hold: tabs, line ends, control characters.
COLUMN = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12)
PAIRS = st.lists(st.tuples(COLUMN.filter(str.strip), COLUMN), min_size=1, max_size=6)


@settings(max_examples=60, deadline=None)
@given(PAIRS)
def test_both_forms(tmp_path_factory, pairs):
    folder = tmp_path_factory.mktemp("pairs")
    columns = "".join(f"{source}\t{target}\n" for source, target in pairs)
    (folder / "a.tsv").write_text(columns, encoding="utf-8", newline="")
    lines = "\n".join(json.dumps({"source": s, "target": t}) for s, t in pairs)
    (folder / "a.jsonl").write_text(lines, encoding="utf-8")
    for name in ("a.tsv", "a.jsonl"):
        found = [(pair.source, pair.target) for pair in read_pairs(folder / name)]
        assert found == pairs
