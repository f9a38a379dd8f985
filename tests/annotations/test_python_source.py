"""Concepts of Python source against labels written out by hand."""

import ast
import sysconfig
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interp.annotations import annotate_python
from interp.annotations.python_source import PYTHON_CONCEPTS
from interp.errors import CorpusError


def marked(text: str, concept: str) -> str:
    """The characters of `text` where the concept is on, others as dots."""
    track = annotate_python(text)[concept]
    return "".join(c if on else "." for c, on in zip(text, track, strict=True))


@pytest.mark.parametrize(
    ("text", "concept", "expected"),
    [
        ('x = "ab"\n', "string", '...."ab..'),
        ("x = 'ab' + r'c'\n", "quoted_string", "....'ab....." + "'c.."),
        (
            'def f():\n    """Doc\n    s."""\n',
            "triple_quoted_string",
            "." * 15 + '"Doc\n    s.""..',
        ),
        ('x = ""\n', "string", '...."..'),
        ('x = """"""\n', "string", "......" + '"""..'),
        ("x = 1  # no 'string'\n", "string", "." * 21),
        ("x = 1  # why\n", "comment", "......." + "# why" + "."),
        ("if a and b:\n    pass\n", "if_condition", ".. a and b" + "." * 11),
        ("if f(lambda: 1):\n    pass\n", "if_condition", ".. f(lambda: 1)" + "." * 11),
        ("if lambda: 1:\n    pass\n", "if_condition", ".. lambda: 1" + "." * 11),
        ("if {1: 2}[1]:\n    pass\n", "if_condition", ".. {1: 2}[1]" + "." * 11),
        ("x = 1 if y else 2\n", "if_condition", "." * 18),
    ],
)
def test_tracks_by_hand(text, concept, expected):
    assert marked(text, concept) == expected.replace("\0", "")


def test_f_strings_are_one_literal_with_their_fields():
    text = "x = f'a{b[\"k\"]}c'\n" if _nested_quotes() else "x = f'a{b}c'\n"
    track = annotate_python(text)["string"]
    start = text.index("'")
    assert track[start : text.rindex("'")].all()
    assert not track[:start].any() and not track[text.rindex("'") :].any()


def test_brackets_and_colons_inside_f_strings_are_text():
    text = 'if f"{a[0]:>{w}}" == f(b):\n    pass\n'
    tracks = annotate_python(text)
    assert tracks["bracket_depth"][: text.index("==")].max() == 0
    assert marked(text, "if_condition").strip(".") == text[2 : text.index(":\n")]


def _nested_quotes() -> bool:
    try:
        ast.parse("x = f'a{b[\"k\"]}c'\n")
    except SyntaxError:
        return False
    return True


def test_bracket_depth_counts_open_brackets():
    tracks = annotate_python("f(a[0])\n  \n")
    assert tracks["bracket_depth"].tolist() == [0, 1, 1, 2, 2, 1, 0, 0, 0, 0, 0]


@pytest.mark.parametrize(
    ("delimiters", "expected"),
    [("state", '...."ab..'), ("in", '...r"ab".'), ("out", ".....ab..")],
)
def test_delimiters_count_as_asked(delimiters, expected):
    text = 'x =r"ab"\n'
    track = annotate_python(text, delimiters=delimiters)["string"]
    assert "".join(c if on else "." for c, on in zip(text, track, strict=True)) == expected


def test_delimiters_apart_have_no_label():
    text = 'if x == f"a" "":\n    f(g(1))  # c\n'
    tracks = annotate_python(text, delimiters="apart")
    shown = {
        name: "".join("?" if np.isnan(v) else "." if v == 0 else f"{v:.0f}" for v in track)
        for name, track in tracks.items()
    }
    assert shown["quoted_string"] == "........??1?.??" + "." * 19
    assert shown["if_condition"] == "??1111111111111?" + "." * 18
    assert shown["bracket_depth"] == "." * 22 + "?1?2??" + "." * 6
    assert shown["comment"] == "." * 30 + "?11" + "."
    states = annotate_python(text)
    for name, track in tracks.items():  # elsewhere it is the state after reading
        known = ~np.isnan(track)
        assert (track[known] == states[name][known]).all()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("if a:\n    b\n    c\nd\n", "..........b\n    c..."),
        ("if a: b; c\nd\n", "......b; c..."),
        ("if a:\n    b  # why\n\n# then\nd\n", "..........b" + "." * 18),
        ("if a:\n  if b:\n    c\nelse:\n  d\n", "........if b:\n    c" + "." * 11),
    ],
)
def test_bodies_of_ifs(text, expected):
    assert marked(text, "if_body") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("f(a, (b))\n", ".(a, (b).."),
        ("def f(a): pass\n", "." * 15),
        ("if (a): pass\n", "." * 13),
        ("x.y(1)(2)\n", "...(1.(2.."),
        ("class A(B): pass\n", "." * 17),
    ],
)
def test_calls(text, expected):
    assert marked(text, "function_call") == expected


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        ('x = """cut', '"cut'),
        ("x = f'cut", "'cut"),
        ("x = 'a' + 'cut", "'a....'cut"),
        ("x = (1,\n  'a',", "'a"),
        ("def f(a,\n", ""),
    ],
)
def test_a_document_that_is_cut_off_is_labelled_to_its_end(text, inside):
    assert marked(text, "string").strip(".") == inside
    if "(" in text:
        assert annotate_python(text)["bracket_depth"][-1] == 1


def test_characters_outside_ascii_count_as_one():
    text = "ü = '😀é'  # ∂\ny = 1\n"
    assert marked(text, "string") == "....'😀é" + "." * (len(text) - 7)


def test_form_feed_is_no_line_end():
    text = "x = 1\n\x0c\ny = 'a'\n"
    assert marked(text, "string").strip(".") == "'a"


def test_source_that_is_not_python_is_refused_by_name():
    with pytest.raises(CorpusError, match="notes.txt is not Python"):
        annotate_python("It isn't Python.\nIs it?\n", "notes.txt")


@given(st.text(alphabet="ab'\"\\#()[]:\n =if1", max_size=60))
def test_any_text_is_labelled_completely_or_refused(text):
    try:
        tracks = annotate_python(text)
    except CorpusError:
        return
    assert set(tracks) == set(PYTHON_CONCEPTS)
    assert all(track.shape == (len(text),) for track in tracks.values())
    assert (tracks["quoted_string"] | tracks["triple_quoted_string"] == tracks["string"]).all()


def test_string_values_of_real_files_lie_inside_the_track():
    """Every plain string constant that `ast` finds in real modules is inside, end to end."""
    library = Path(sysconfig.get_paths()["stdlib"])
    for name in ("textwrap.py", "json/decoder.py", "bisect.py"):
        text = (library / name).read_text()
        inside = annotate_python(text)["string"]
        starts = np.cumsum([0, *(len(line) for line in text.splitlines(keepends=True))])
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                if node.lineno == node.end_lineno and text.isascii():
                    first = starts[node.lineno - 1]
                    literal = slice(first + node.col_offset, first + node.end_col_offset)
                    assert inside[literal][-2] or len(node.value) == 0
                    assert not inside[literal][-1]
