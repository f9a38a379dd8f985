"""Annotations of recordings: characters and sub-words, own files and functions, the command."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import interp
from interp.annotations.alignment import to_positions, words_to_positions
from interp.annotations.own_labels import encode_values, labels_from_file
from interp.annotations.recordings import (
    annotate_recording,
    label_concepts,
    label_with_function,
)
from interp.cli.main import app
from interp.errors import CorpusError, InterpError
from tests.probes.planted import write_recording

TEXTS = ["x = 'ab'  # é\n", "if y:\n    f(1)\n"]


def make(folder, texts=TEXTS, spans=None, names=None):
    starts = np.cumsum([0, *(len(t) for t in texts)])
    if spans is not None:
        starts = np.cumsum([0, *(len(s) for s in spans)])
        spans = np.concatenate(spans)
    values = np.zeros((starts[-1], 2), np.float16)
    return write_recording(folder / "run.h5", values, starts, texts, spans=spans)


@pytest.fixture
def path(tmp_path):
    return make(tmp_path)


def shown(path, name):
    with interp.open(path) as recording:
        text = "".join(d.text for d in recording.streams["text"].documents)
        values = recording.annotations[name][:]
    return "".join(c if on else "." for c, on in zip(text, values, strict=True))


def test_concepts_are_written_beside_the_recording(path):
    summaries = annotate_recording(path)
    assert summaries["string"].startswith("10.") and "of 29 positions" in summaries["string"]
    assert shown(path, "string") == "....'ab......." + "." * 15
    assert shown(path, "comment").rstrip(".") == "..........# é"
    assert shown(path, "if_condition").strip(".") == " y"
    with interp.open(path) as recording:
        assert recording.annotations["indentation"][:].max() == 4
        said = recording.annotations["string"].parameters
        assert said["delimiters"] == "state" and said["languages"] == ["python"]
    annotate_recording(path, ["strings"], delimiters="in")  # again, otherwise
    assert shown(path, "string") == "....'ab'......" + "." * 15


def test_sub_words_take_the_state_of_their_last_character(tmp_path):
    # x_= |'a|b'|_ #|...: the second token ends inside, the third has read the closing mark.
    spans = [np.array([[0, 4], [4, 6], [6, 8], [8, 13], [13, 13], [13, 14]])]
    path = make(tmp_path, TEXTS[:1], spans)
    with interp.open(path) as recording:
        state, inside, outside = (
            label_concepts(recording, ["string"], delimiters=d)[0].values.tolist()
            for d in ("state", "in", "out")
        )
    assert state == [False, True, False, False, False, False]
    assert inside == [False, True, True, False, False, False]
    assert outside == [False] * 6  # no token lies wholly between the marks


@given(st.lists(st.integers(0, 4), min_size=1, max_size=8), st.data())
def test_alignment_by_characters_equals_a_loop(lengths, data):
    stops = np.cumsum(lengths)
    spans = np.stack([stops - lengths, stops], axis=1)
    n = int(stops[-1])
    track = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)), bool)
    for delimiters in ("state", "in", "out"):
        found = to_positions(track, spans, delimiters)
        for (start, stop), value in zip(spans, found, strict=True):
            part = track[start:stop]
            expected = {
                "state": bool(track[stop - 1]) if stop else False,
                "in": bool(part.any()),
                "out": bool(part.all() and len(part)),
            }[delimiters]
            assert value == expected


@given(st.lists(st.integers(0, 4), min_size=1, max_size=8), st.data())
def test_a_position_with_a_delimiter_has_no_label_when_these_are_apart(lengths, data):
    stops = np.cumsum(lengths)
    n = int(stops[-1])
    track = np.array(data.draw(st.lists(st.sampled_from([0, 1, np.nan]), min_size=n, max_size=n)))
    track = track.astype(np.float32)
    found = to_positions(track, np.stack([stops - lengths, stops], axis=1), "apart")
    for length, stop, value in zip(lengths, stops, found, strict=True):
        part = track[stop - length : stop]
        expected = np.nan if np.isnan(part).any() else track[stop - 1] if stop else 0
        np.testing.assert_equal(value, np.float32(expected))


def test_two_readings_of_a_concept_stand_side_by_side(path):
    command = ["annotate", str(path), "string", "--delimiters", "apart", "--name", "content"]
    said = CliRunner().invoke(app, command).stdout
    assert said == "content: 7.4% of 27 positions, 2 of 29 have no label\n"
    annotate_recording(path, ["string"])
    with interp.open(path) as recording:
        content, string = recording.annotations["content"], recording.annotations["string"]
        assert np.flatnonzero(np.isnan(content[:])).tolist() == [4, 7]
        assert content.parameters["has_missing"] and content.parameters["delimiters"] == "apart"
        assert "has_missing" not in string.parameters and string.kind == "binary"
    several = CliRunner().invoke(app, [*command, "comment"])
    assert "One concept can be written as 'content'; 2 are given" in str(several.exception)


def test_words_align_to_first_last_or_all_positions():
    spans = np.array([[0, 2], [2, 4], [4, 5], [5, 9]])
    words, values = np.array([[0, 4], [5, 9]]), np.array([1.0, 2.0])
    found = {a: words_to_positions(words, values, spans, a, np.nan)[0] for a in
             ("first", "last", "mean")}  # fmt: skip
    np.testing.assert_array_equal(found["first"], [1, np.nan, np.nan, 2])
    np.testing.assert_array_equal(found["last"], [np.nan, 1, np.nan, 2])
    np.testing.assert_array_equal(found["mean"], [1, 1, np.nan, 2])
    with pytest.raises(InterpError, match="first, last, mean"):
        words_to_positions(words, values, spans, "middle", np.nan)


@pytest.mark.parametrize(
    ("values", "kind", "stored", "categories"),
    [
        (["1", "0", "1"], "binary", [True, False, True], None),
        ([True, False], "binary", [True, False], None),
        (["yes", "", "no"], "numeric", [1, np.nan, 0], None),
        (["1.5", "2", "nan"], "numeric", [1.5, 2, np.nan], None),
        (["NN", "VB", None, "NN"], "categorical", [0, 1, -1, 0], ["NN", "VB"]),
    ],
)
def test_kinds_are_told_from_values(values, kind, stored, categories):
    found, coded, names, missing = encode_values(values, "x")
    assert (found, names) == (kind, categories)
    np.testing.assert_array_equal(coded, stored)
    assert missing == any(str(v) in ("", "nan", "None") for v in values)
    with pytest.raises(InterpError, match="is to be numeric, but has the value"):
        encode_values(["a"], "x", "numeric")


def _file(folder, name, content):
    (folder / name).write_text(content, encoding="utf-8")
    return folder / name


@pytest.mark.parametrize("ending", ["csv", "plain.csv", "npy", "jsonl"])
def test_one_value_per_position(tmp_path, path, ending):
    values = np.arange(29) % 3
    file = tmp_path / f"own.{ending}"
    if ending == "npy":
        np.save(file, values)
    elif ending == "jsonl":
        file.write_text("".join(json.dumps({"own": int(v)}) + "\n" for v in values))
    else:
        header = "" if ending == "plain.csv" else "own\n"
        file.write_text(header + "".join(f"{v}\n" for v in values))
    with interp.open(path) as recording:
        made = labels_from_file(recording, file, name="own")[0]
        made.write(recording)
        assert recording.annotations["own"][:].tolist() == values.tolist()


def test_words_of_a_table_are_found_in_the_text(tmp_path, path):
    table = "document,word,tag\ndoc0.py,x,NAME\ndoc0.py,'ab',STR\n1,if,KEY\n1,y,NAME\n1,f,NAME\n"
    with interp.open(path) as recording:
        made = labels_from_file(recording, _file(tmp_path, "t.csv", table), align="first")[0]
    assert made.kind == "categorical" and made.categories == ["KEY", "NAME", "STR"]
    assert np.flatnonzero(made.values >= 0).tolist() == [0, 4, 14, 17, 24]
    lists = json.dumps({"document": "doc1.py", "words": ["y", "f"], "labels": [1, 0]}) + "\n"
    with interp.open(path) as recording:
        made = labels_from_file(recording, _file(tmp_path, "t.jsonl", lists), name="b")[0]
    assert made.values[17] == 1 and made.values[24] == 0 and np.isnan(made.values).sum() == 27


def test_words_by_offsets_and_between_blanks(tmp_path, path):
    offsets = "document,start,end,score\n0,4,8,2.5\n"
    with interp.open(path) as recording:
        file = _file(tmp_path, "o.csv", offsets)
        made = labels_from_file(recording, file, align="mean")
        assert [m.name for m in made] == ["score", "score.word"]
        assert np.flatnonzero(made[0].values == 2.5).tolist() == [4, 5, 6, 7]
        n_words = sum(len(text.split()) for text in TEXTS)
        file = _file(tmp_path, "w.csv", "length\n" + "".join(f"{i}\n" for i in range(n_words)))
        made = labels_from_file(recording, file, per="word", align="last")
        assert np.isfinite(made[0].values).sum() == n_words


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "v\n1\n2\n", "has 2 values, but stream 'text' has 29 positions"),
        ("a.csv", "v,w\n1\n", "row 2 has 1 cells, the header has 2"),
        ("a.csv", "word,v\nx,1\n", "does not say which document"),
        ("a.csv", "document,word,v\n0,zz,1\n", "'zz' of row 1 does not occur in 'doc0.py'"),
        ("a.csv", "document,word,v\nnone.py,x,1\n", "none.py"),
        ("a.csv", "document,start,end,v\n0,3,99,1\n", "characters 3 to 99"),
        ("a.jsonl", "{", "cannot be read"),
        ("a.jsonl", '{"document": 0, "words": ["x"], "labels": []}\n', "different lengths"),
        ("a.parquet", "", "is none of"),
        ("a.csv", "", "it is empty"),
    ],
)
def test_files_that_do_not_fit_are_refused(tmp_path, path, name, content, message):
    with interp.open(path) as recording, pytest.raises(InterpError, match=message):
        labels_from_file(recording, _file(tmp_path, name, content))


def test_several_columns_and_the_choice_of_one(tmp_path, path):
    file = _file(tmp_path, "a.csv", "a,b\n" + "1,x\n" * 29)
    with interp.open(path) as recording:
        assert [m.name for m in labels_from_file(recording, file)] == ["a", "b"]
        assert labels_from_file(recording, file, column="b", name="c")[0].name == "c"
        with pytest.raises(InterpError, match="choose one with --column"):
            labels_from_file(recording, file, name="c")
        with pytest.raises(InterpError, match="nearest: a"):
            labels_from_file(recording, file, column="aa")


def test_a_function_labels_each_character(path):
    with interp.open(path) as recording:
        made = label_with_function(recording, lambda text: [c in "xy" for c in text], "letters")
        assert made.kind == "binary" and np.flatnonzero(made.values).tolist() == [0, 17]
        with pytest.raises(InterpError, match=r"shape \(1,\) for 'doc0.py', which has 14"):
            label_with_function(recording, lambda text: [1], "short")


def test_the_command(path, tmp_path, monkeypatch):
    run = CliRunner().invoke
    assert "string: " in run(app, ["annotate", str(path), "string"]).stdout
    np.save(tmp_path / "mine.npy", np.arange(29.0))
    done = run(app, ["annotate", str(path), "--from", str(tmp_path / "mine.npy")])
    assert done.stdout == "mine: 0 to 28, mean 14\n"
    _file(
        tmp_path, "labels_of_mine.py", "def vowel(text):\n    return [c in 'aei' for c in text]\n"
    )
    monkeypatch.chdir(tmp_path)
    done = run(app, ["annotate", str(path), "--function", "labels_of_mine:vowel"])
    assert done.stdout.startswith("vowel: ")
    assert "quotation: " in run(app, ["annotate", "--list"]).stdout
    for wrong in (["strnig"], ["--function", "none:f"], ["string", "--delimiters", "maybe"],
                  ["string", "--language", "cobol"], ["--from", "none.csv"]):  # fmt: skip
        assert isinstance(run(app, ["annotate", str(path), *wrong]).exception, InterpError)


def test_what_cannot_be_labelled_is_refused(tmp_path):
    path = make(tmp_path, ["It isn't Python.\nIs it?"])
    with pytest.raises(CorpusError, match=r"doc0.py is not Python"):
        annotate_recording(path, ["string"])
    assert "quotation" in annotate_recording(path, ["quotation"])
    path.unlink()
    values = np.zeros((4, 2), np.float16)
    write_recording(path, values, [0, 4])
    with pytest.raises(InterpError, match="has no text"):
        annotate_recording(path, ["string"])
    path.unlink()
    write_recording(path, values, [0, 2, 4], texts=["ab", "cd"], complete=False)
    with pytest.raises(InterpError, match="incomplete"):
        annotate_recording(path, ["string"])


def test_a_document_that_cannot_be_parsed_has_no_label(tmp_path):
    texts = [TEXTS[0], "It isn't Python.\nIs it?", TEXTS[1]]
    path = make(tmp_path, texts)
    done = CliRunner().invoke(app, ["annotate", str(path), "string", "brackets_depth", "digit"])
    assert isinstance(done.exception, InterpError)  # a name that is none is still refused
    done = CliRunner().invoke(app, ["annotate", str(path), "string", "bracket_depth", "digit"])
    assert done.exit_code == 0
    assert done.stderr.startswith(
        "1 document without a label of string, bracket_depth, the first is doc1.py: doc1.py is not"
    )
    first, stop = len(texts[0]), len(texts[0] + texts[1])
    with interp.open(path) as recording:
        for name, there in (("string", 3), ("bracket_depth", 2)):
            annotation = recording.annotations[name]
            values = annotation[:]
            assert annotation.kind == "numeric" and annotation.parameters["has_missing"]
            assert annotation.parameters["unlabelled"]["documents"] == ["doc1.py"]
            assert np.isnan(values[first:stop]).all()
            assert not np.isnan(np.delete(values, np.arange(first, stop))).any()
            assert np.nansum(values) == there
        assert recording.annotations["digit"].kind == "binary"
        with pytest.raises(CorpusError, match=r"doc1.py is not Python"):
            label_concepts(recording, ["string"], strict=True)


def test_token_types_share_their_categories(path):
    with interp.open(path) as recording:
        made = label_concepts(recording, ["pygments.python", "pygments.python.String"])
    assert made[0].kind == "categorical" and made[1].kind == "binary"
    names = [made[0].categories[code] for code in made[0].values]
    assert names[0] == "Name" and names[14] == "Keyword"
    assert made[1].values.nonzero()[0].tolist() == [4, 5, 6, 7]
