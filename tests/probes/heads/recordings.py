"""Recordings of maps made by hand."""

import numpy as np

from interp.storage import AttentionPlan, PredictionPlan, StreamPlan
from interp.storage.attention_site import statistics_of
from probes.heads.measures import measure_rows
from probes.heads.recorded import STATISTICS
from probes.heads.rows import MapRows
from probes.heads.targets import Context, Targets, find_targets
from tests.storage.example import Example, by_document
from tests.storage.maps import Maps, map_site, ranges_for

VOCABULARY = [f"w{i} " for i in range(11)] + ["[SEP]"]


class TrueStatistics(Maps):
    """Maps whose stored statistics are those of the weights."""

    tokens = ()

    def statistics(self, document, start, stop):
        weights = self.weights[document]
        n = weights.shape[1]
        rows = MapRows(ranges_for(self.site.keys, [n], [n]), n)
        context = Context(self.tokens[document], self.tokens[document])
        targets = find_targets(rows, context, ["first", "previous", "self", "next", "duplicate",
                                               "induction"])  # fmt: skip
        found = {}
        for name, kept in STATISTICS.items():
            if kept not in self.plan.statistics:
                continue
            columns = []
            for head in weights:
                values = measure_rows([name], rows, head[rows.row, rows.keys], targets)
                columns.append(values.get(name, np.zeros(n)))
            found[kept] = np.stack(columns, 1)[start:stop].astype("f4")
        assert isinstance(targets["previous"], Targets)
        return found


def write_heads(path, maps, tokens, form="full", dtype="float32", keys="causal", predicted=True):
    """Write maps (site name to one array per document) as a recording; return its path."""
    lengths = [len(t) for t in tokens]
    start = np.concatenate([[0], np.cumsum(lengths)])
    ids = np.concatenate(tokens)
    texts, spans = [], []
    for row in tokens:
        words = [VOCABULARY[i] for i in row]
        texts.append("".join(words))
        ends = np.cumsum([len(word) for word in words])
        spans += [(end - len(word), end) for word, end in zip(words, ends, strict=True)]
    names = [f"doc{i}" for i in range(len(tokens))]
    stream = StreamPlan("text", names, start, texts, ids, np.array(spans), VOCABULARY)
    all_maps = []
    for name, arrays in maps.items():
        site = map_site(name, len(arrays[0]), dtype, keys, form, 0.9 if form == "top-p" else None)
        statistics = () if form == "full" else statistics_of(False, True)
        ranges = ranges_for(keys, lengths, lengths)
        found = TrueStatistics(AttentionPlan(site, ranges, statistics), [
            np.asarray(a, "f4") for a in arrays
        ])  # fmt: skip
        found.tokens = tokens
        all_maps.append(found)
    predictions = PredictionPlan("text", "next", 2) if predicted else None
    example = Example(
        [stream], [], {"text": by_document(lengths, 17)}, predictions, maps=tuple(all_maps)
    )
    if predicted:
        example.top_ids[:, 0] = np.roll(ids, -1)
    return example.record(path)
