"""Wrong arguments of a recording's reader: one message that says what is there."""

from __future__ import annotations

import numpy as np
import pytest

import interp
from interp.errors import InterpError
from interp.selection import Selection, Units
from tests.extraction.conftest import make_model, make_texts

SITE = "lstm/l0/hidden"


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    folder = tmp_path_factory.mktemp("arguments")
    interp.record(make_model(), make_texts([5, 3]), folder / "run.h5", sites=[SITE])
    with interp.open(folder / "run.h5") as opened:
        yield opened


@pytest.mark.parametrize("path", [None, 3, b"run.h5", [], object()])
def test_what_is_no_path_is_refused(path):
    with pytest.raises(InterpError, match="is a path"):
        interp.open(path)


QUESTIONS = {
    "sites": lambda r: r.sites["lstm/l0/hiden"],
    "streams": lambda r: r.streams["source"],
    "document of a float": lambda r: r.document(1.5),
    "document of None": lambda r: r.document(None),
    "no such document": lambda r: r.document(2),
    "stream of a list": lambda r: r.stream_of(["x"]),
    "stream named by a list": lambda r: r.stream(["x"]),
    "token behind the end": lambda r: r.streams["text"].tokens[8],
    "token of a text": lambda r: r.streams["text"].tokens["a"],
    "span behind the end": lambda r: r.streams["text"].spans[8],
    "spans of a table": lambda r: r.streams["text"].spans[np.zeros((2, 2), int)],
    "text behind the end": lambda r: r.streams["text"].text(2),
    "position behind the end": lambda r: r.streams["text"].document_of(8),
    "position before the start": lambda r: r.streams["text"].document_of([-1, 2]),
    "position of a text": lambda r: r.streams["text"].document_of("a"),
    "row behind the end": lambda r: r[SITE][8],
    "annotations of a number": lambda r: r.to_frame(SITE, 3),
    "parameters": lambda r: r.write_annotation("a", np.zeros(8), parameters=3),
    "categories": lambda r: r.write_annotation("a", np.zeros(8, int), categories=[1, 2]),
    "one category of letters": lambda r: r.write_annotation("a", np.zeros(8, int), categories="ab"),
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_without_an_answer_says_what_there_is(recording, question):
    with pytest.raises(InterpError) as caught:
        QUESTIONS[question](recording)
    assert "\n" not in str(caught.value)
    assert not str(caught.value).startswith(("'", '"'))


def test_they_are_errors_of_mappings_and_sequences_too(recording):
    with pytest.raises(KeyError, match="nearest: lstm/l0/hidden"):
        recording.sites["lstm/l0/hiden"]
    with pytest.raises(IndexError, match="position 8 is out of range: there are 8 positions"):
        recording.streams["text"].tokens[8]
    assert recording.sites.get("nothing") is None
    assert ["x"] not in recording
    assert ["x"] not in recording.annotations


def test_a_mask_chooses_tokens_as_it_chooses_rows(recording):
    tokens = recording.streams["text"].tokens
    mask = np.arange(8) % 3 == 0
    assert tokens[mask] == [tokens[0], tokens[3], tokens[6]]
    with pytest.raises(IndexError):
        tokens[mask[:4]]


def test_spans_end_with_the_stream(recording):
    assert recording.streams["text"].span_array(0, 99).shape == (8, 2)


@pytest.mark.parametrize("units", [[1.5], ["a"], None, 3])
def test_units_are_whole_numbers(units):
    with pytest.raises(InterpError, match="whole numbers"):
        Units.of(units)


def test_a_selection_is_text():
    with pytest.raises(InterpError, match="is text; got None"):
        Selection.parse(None)
