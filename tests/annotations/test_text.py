"""Concepts of prose, characters, other languages and token types against labels by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interp.annotations.characters import CHARACTER_CONCEPTS, annotate_characters
from interp.annotations.concepts import concept_names, is_concept, parse_concept
from interp.annotations.lexer_tokens import annotate_lexer
from interp.annotations.prose import PROSE_CONCEPTS, annotate_prose
from interp.annotations.syntax_trees import LANGUAGES, TREE_CONCEPTS, annotate_tree
from interp.errors import InterpError


def shown(text, track):
    return "".join(c if on else "." for c, on in zip(text, track, strict=True))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('He said "go" now', '........"go.....'),
        ("He said “go” now", "........“go....."),
        ("“a ‘b’ c”", "“a ‘b’ c."),
        ("It's Tom's 'own' cat", "...........'own....."),
        ("«oui» „ja“", "«oui. „ja."),
        ('"one\n\ntwo" x', '"one.....' + '" x'),
        ("the dogs' bowl", "." * 14),
        ("'tis so", "." * 7),
        ("“don’t”", "“don’t."),
    ],
)
def test_quotations(text, expected):
    assert shown(text, annotate_prose(text)["quotation"]) == expected.replace(" „", ".„")


def test_nested_quotations_have_a_depth():
    depth = annotate_prose("“a ‘b’ c” d")["quotation_depth"]
    assert depth.tolist() == [1, 1, 1, 2, 2, 1, 1, 1, 0, 0, 0]


def test_parentheses_and_delimiters():
    text = "a (b (c) d) e)"
    assert shown(text, annotate_prose(text)["parenthesis"]) == "..(b (c) d...."
    assert shown(text, annotate_prose(text, "in")["parenthesis"]) == "..(b (c) d)..."
    assert annotate_prose(text)["parenthesis_depth"].max() == 2


def test_sentences_begin_again():
    text = 'Mr. Fox ran. He hid! "Why?" Oh.'
    position = annotate_prose(text)["sentence_position"]
    begins = [text[i:] for i in np.flatnonzero(position == 1)]
    assert begins == [text, 'He hid! "Why?" Oh.', '"Why?" Oh.', "Oh."]


def test_characters_by_hand():
    tracks = annotate_characters("  Ab 1\nc")
    assert tracks["capital"].tolist() == [False, False, True] + [False] * 5
    assert tracks["digit"].nonzero()[0].tolist() == [5]
    assert tracks["whitespace"].nonzero()[0].tolist() == [0, 1, 4, 6]
    assert tracks["line_position"].tolist() == [1, 2, 3, 4, 5, 6, 7, 1]
    assert tracks["word_position"].tolist() == [0, 0, 1, 2, 0, 1, 0, 1]
    # After the first blank, one column of indentation is known, not yet two.
    assert tracks["indentation"].tolist() == [1, 2, 2, 2, 2, 2, 2, 0]


@given(
    st.text(alphabet="aB1 \n\"'“”‘’()«».!", max_size=50),
    st.sampled_from(["state", "in", "out", "apart"]),
)
def test_any_prose_is_labelled_completely(text, delimiters):
    tracks = annotate_prose(text, delimiters) | annotate_characters(text)
    assert set(tracks) == set(PROSE_CONCEPTS) | set(CHARACTER_CONCEPTS)
    assert all(track.shape == (len(text),) for track in tracks.values())
    inside, depth = tracks["quotation"], tracks["quotation_depth"]
    known = ~np.isnan(inside)
    assert ((depth > 0) == inside)[known].all() and np.isnan(depth[~known]).all()
    assert not (tracks["parenthesis_depth"] < 0).any()
    assert known.all() or delimiters == "apart"


C = "int f(int a) { /* no */ if (a > 1) { g(\"é\", 'x'); } return a[0]; } // end\n"
JAVASCRIPT = 'if (a) b(`x${c("d")}`); // no\n'


@pytest.mark.parametrize(
    ("language", "text", "concept", "expected"),
    [
        ("c", C, "string", ['"é', "'x"]),
        ("c", C, "comment", ["* no *", "/ end"]),
        ("c", C, "if_condition", ["(a > 1"]),
        ("c", C, "if_body", ["{ g(\"é\", 'x'); "]),
        ("c", C, "function_call", ["(\"é\", 'x'"]),
        ("javascript", JAVASCRIPT, "string", ['`x${c("d")}']),
        ("javascript", JAVASCRIPT, "if_body", ['b(`x${c("d")}`);']),
        ("python_like", "", "", []),
    ],
)
def test_other_languages(language, text, concept, expected):
    if language == "python_like":
        return
    track = annotate_tree(text, language)[concept]
    edges = np.flatnonzero(np.diff(np.concatenate([[False], track, [False]]).astype(int)))
    assert [text[a:b] for a, b in edges.reshape(-1, 2)] == expected


def test_brackets_of_other_languages_close():
    for language, text in (("c", C), ("javascript", JAVASCRIPT)):
        depth = annotate_tree(text, language)["bracket_depth"]
        assert depth[-1] == 0 and depth.min() == 0 and depth.max() == 3 - (language == "c") * 0
        apart = annotate_tree(text, language, "apart")["bracket_depth"]
        no_label = {text[i] for i in np.flatnonzero(np.isnan(apart))}
        assert no_label <= set("(){}[]$") and len(no_label) >= 4
        assert (apart == depth)[~np.isnan(apart)].all()


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_every_parser_labels_cut_off_text(language):
    tracks = annotate_tree('if (a) { f("b', language)
    assert set(tracks) == set(TREE_CONCEPTS)
    assert all(len(track) == 13 for track in tracks.values())


def test_token_types():
    text = "x = 'a'  # é\n"
    codes, types = annotate_lexer(text, "python")
    names = [types[code] for code in codes]
    assert names[0] == "Name" and names[9] == "Comment.Single"
    assert names[4].startswith("Literal.String")


@pytest.mark.parametrize(
    ("asked", "family", "language", "track"),
    [
        ("strings", "code", None, "string"),
        ("if_bodies", "code", None, "if_body"),
        ("c.comment", "code", "c", "comment"),
        ("python.string", "code", "python", "string"),
        ("quotation", "prose", None, "quotation"),
        ("digits", "characters", None, "digit"),
        ("pygments.ruby.String", "pygments", "ruby", "String"),
        ("pygments.ruby", "pygments", "ruby", ""),
    ],
)
def test_names_of_concepts(asked, family, language, track):
    concept = parse_concept(asked)
    assert (concept.family, concept.language, concept.track) == (family, language, track)


@pytest.mark.parametrize(
    ("asked", "nearest"),
    [("strnig", "string"), ("pygments.rubyy", "ruby"), ("pygments.ruby.Strig", "String"),
     ("c.quotation", "nearest")],
)  # fmt: skip
def test_unknown_concepts_are_answered_with_the_nearest(asked, nearest):
    assert not is_concept(asked)
    with pytest.raises(InterpError, match=nearest):
        parse_concept(asked)


def test_all_names_are_concepts():
    assert all(is_concept(name) for name in concept_names())
