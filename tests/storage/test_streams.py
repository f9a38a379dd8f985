"""Documents, tokens, spans and several streams."""

from __future__ import annotations

import numpy as np
import pytest

from interp.errors import SelectionError
from interp.storage import open_recording
from tests.storage.example import Example, cut, site, small, stream


@pytest.mark.parametrize("kind", ["characters", "words"])
def test_documents_tokens_and_spans(tmp_path, kind):
    plan = stream([5, 9, 1, 30], seed=3, kind=kind)
    example = small((5, 9, 1, 30), 8, streams=[plan])
    with open_recording(example.record(tmp_path / "run.h5")) as recording:
        found = recording.streams["text"]
        assert (found.n_positions, found.n_documents) == (45, 4)
        assert found.is_characters == (kind == "characters")
        assert found.vocabulary == plan.vocabulary
        np.testing.assert_array_equal(found.document_start, plan.document_start)
        np.testing.assert_array_equal(found.token_ids[:], plan.token_ids)
        words = [plan.vocabulary[i] for i in plan.token_ids]
        assert list(found.tokens) == words
        assert found.tokens[40:3:-3] == words[40:3:-3]
        assert found.tokens[-1] == words[-1]
        spans = found.spans[:]
        assert spans.shape == (45, 2)
        for document, text in zip(found.documents, plan.texts, strict=True):
            assert document.text == text
            assert document.name == plan.document_names[document.index]
            assert document.tokens == words[document.positions]
            np.testing.assert_array_equal(document.spans, spans[document.positions])
            assert [text[a:b] for a, b in document.spans] == document.tokens
        np.testing.assert_array_equal(found.document_of([0, 4, 5, 14, 15]), [0, 0, 1, 2, 3])
        np.testing.assert_array_equal(found.spans[[3, 7]], spans[[3, 7]])
        assert recording.document("doc 2.py").index == 2
        assert recording.document(-1).index == 3
        assert len(recording["lstm/l0/hidden"][recording.document(1).positions]) == 9
        with pytest.raises(SelectionError, match="Document 4 .* 4 documents"):
            recording.document(4)
        with pytest.raises(SelectionError, match="nearest: dir/doc 2.py"):
            recording.document("dir/doc2.py")


def test_a_stream_of_numbers_has_no_tokens(tmp_path):
    example = small((5, 5), 4, streams=[stream([5, 5], kind="numbers")], predictions=None)
    with open_recording(example.record(tmp_path / "run.h5")) as recording:
        found = recording.streams["text"]
        assert found.tokens is None
        assert found.spans is None
        assert found.vocabulary is None
        assert found.documents[0].text is None
        assert list(recording.to_frame("lstm/l0/cell:1@doc1").columns) == [
            "document",
            "document_name",
            "position",
            "lstm/l0/cell:1",
        ]


def test_tokens_come_from_the_text_without_a_vocabulary(tmp_path):
    from interp.storage import StreamPlan

    plan = StreamPlan("text", ["a", "b"], [0, 3, 5], ["x🙂y", "ab"])
    example = small((3, 2), 4, streams=[plan], predictions=None)
    with open_recording(example.record(tmp_path / "run.h5")) as recording:
        assert list(recording.streams["text"].tokens) == ["x", "🙂", "y", "a", "b"]
        assert recording.streams["text"].tokens[2:4] == ["y", "a"]


def test_several_streams(tmp_path):
    source, target = stream([4, 6], name="source", kind="words"), stream([7, 2], 1, name="target")
    example = Example(
        streams=[source, target],
        sites=[
            site("encoder/l0/hidden", 6, stream="source"),
            site("decoder/l0/hidden", 8, stream="target"),
            site("pool/output", 2, stream="source", per="call"),
        ],
        segments={"source": cut(10, 4), "target": np.array([[0, 0], [0, 8], [8, 9]])},
        predictions=None,
    )
    with open_recording(example.record(tmp_path / "run.h5")) as recording:
        example.check(recording)
        assert list(recording.streams) == ["source", "target"]
        assert recording.stream_of("decoder/l0/hidden").name == "target"
        assert recording.document(1, stream="target").n_positions == 2
