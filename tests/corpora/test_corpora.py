"""Corpora from files, directories, lines and JSONL, and the refusal of what is not text."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interp.corpora import Corpus, Document, read_corpus
from interp.errors import CorpusError


def names(corpus):
    return [document.name for document in corpus]


def texts(corpus):
    return [document.text for document in corpus]


def test_file_is_one_document_with_its_text_untouched(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes("x = 'é'\r\n\ty\x0c\n".encode())
    corpus = read_corpus(path)
    assert texts(corpus) == ["x = 'é'\r\n\ty\x0c\n"]
    assert names(corpus) == [path.as_posix()]


def test_byte_order_mark_is_not_part_of_the_text(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xef\xbb\xbfabc")
    assert texts(read_corpus(path)) == ["abc"]


def test_directory_takes_visible_files_in_path_order(tmp_path):
    for name in ["b.py", "a/z.py", "a.py", ".hidden", "__pycache__/c.py", ".git/d.py"]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    corpus = read_corpus(tmp_path)
    assert names(corpus) == ["a.py", "a/z.py", "b.py"]
    assert names(corpus) == texts(corpus)


def test_glob_chooses_files(tmp_path):
    (tmp_path / "a.py").write_text("a")
    (tmp_path / "b.bin").write_bytes(b"\0\1")
    assert names(read_corpus(tmp_path, glob="**/*.py")) == ["a.py"]
    with pytest.raises(CorpusError, match=r"matches '\*\*/\*.md'; it holds 2 files"):
        read_corpus(tmp_path, glob="**/*.md")


def test_several_sources_keep_the_order_given_and_the_folder_in_the_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in ["two", "one"]:
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.py").write_text(folder)
    assert names(read_corpus(["two", "one/x.py"])) == ["two/x.py", "one/x.py"]


def test_lines_are_documents_and_blank_ones_are_not(tmp_path):
    path = tmp_path / "lines.txt"
    path.write_bytes(b"first\r\n\n  \nfourth\xe2\x80\xa8same line\n")
    corpus = read_corpus(path, lines=True)
    assert texts(corpus) == ["first", "fourth\u2028same line"]
    assert [name.rsplit(":")[-1] for name in names(corpus)] == ["1", "4"]


def test_jsonl_takes_a_named_field(tmp_path):
    path = tmp_path / "data.jsonl"
    path.write_text('{"text": "one", "body": "1"}\n\n{"text": "two", "body": "2"}\n')
    assert texts(read_corpus(path)) == ["one", "two"]
    assert texts(read_corpus(path, field="body")) == ["1", "2"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"txt": "one"}', "No field in .*:1 named 'text'; nearest: txt"),
        ('{"text": 3}', "field 'text' is int, not text"),
        ('{"text": "one"}\nplain', ":2 is not a JSON line"),
        ("[1]", "is a list, not an object"),
    ],
)
def test_jsonl_errors_name_the_line(tmp_path, content, message):
    path = tmp_path / "data.jsonl"
    path.write_text(content)
    with pytest.raises(CorpusError, match=message):
        read_corpus(path)


@pytest.mark.parametrize("raw", [b"abc\0def", b"\x89PNG\r\n\x1a\n\0", b"caf\xe9"])
def test_binary_files_are_refused_by_name_and_place(tmp_path, raw):
    path = tmp_path / "data.txt"
    path.write_bytes(raw)
    with pytest.raises(CorpusError, match=r"data\.txt is not a text file \(byte 0x.. at offset"):
        read_corpus(path)


def test_other_encodings_on_request(tmp_path):
    path = tmp_path / "data.txt"
    path.write_bytes(b"caf\xe9")
    assert texts(read_corpus(path, encoding="latin-1")) == ["café"]
    with pytest.raises(CorpusError, match="no text encoding named 'klingon'"):
        read_corpus(path, encoding="klingon")


def test_missing_path_names_what_is_near(tmp_path):
    (tmp_path / "corpus.txt").write_text("x")
    with pytest.raises(CorpusError, match=r"nearest in .*: corpus\.txt"):
        read_corpus(tmp_path / "corpsu.txt")
    with pytest.raises(CorpusError, match="is missing too"):
        read_corpus(tmp_path / "nowhere" / "x.txt")


def test_empty_corpora_are_refused(tmp_path):
    path = tmp_path / "empty.txt"
    path.touch()
    with pytest.raises(CorpusError, match="The corpus is empty"):
        read_corpus(path)
    with pytest.raises(CorpusError, match="The corpus is empty"):
        read_corpus({})
    with pytest.raises(CorpusError, match="empty: a list that holds no path"):
        read_corpus([])


def test_empty_files_among_others_are_counted(tmp_path):
    (tmp_path / "__init__.py").touch()
    (tmp_path / "a.py").write_text("a")
    corpus = read_corpus(tmp_path)
    assert names(corpus) == ["a.py"]
    assert corpus.n_empty == 1
    assert corpus.left_out == "1 empty file left out"
    (tmp_path / "rows.jsonl").write_text('{"text": ""}\n{"text": "a"}\n')
    assert read_corpus(tmp_path).left_out == "2 empty documents left out"
    assert read_corpus({"a": "x"}).left_out == ""


def test_a_link_to_nothing_and_wide_characters_are_named(tmp_path):
    link = tmp_path / "link.txt"
    link.symlink_to("gone.txt")
    with pytest.raises(CorpusError, match=r"is a link to gone\.txt, which does not exist"):
        read_corpus(link)
    wide = tmp_path / "wide.txt"
    wide.write_text("ab", encoding="utf-16")
    with pytest.raises(CorpusError, match="--encoding utf-16"):
        read_corpus(wide)
    assert texts(read_corpus(wide, encoding="utf-16")) == ["ab"]


def test_texts_and_documents_from_python():
    assert names(read_corpus({"a": "x", "b": "y"})) == ["a", "b"]
    documents = [Document("a", "x")]
    assert list(read_corpus(documents)) == documents
    corpus = Corpus(tuple(documents))
    assert read_corpus(corpus) is corpus
    with pytest.raises(CorpusError, match="forward=lambda"):
        read_corpus([1, 2])


def test_hash_depends_on_texts_and_cuts_only():
    def digest(*parts):
        return read_corpus([Document(str(i), part) for i, part in enumerate(parts)]).hash()

    assert digest("ab", "c") != digest("a", "bc") != digest("abc")
    assert digest("ab") == read_corpus({"other name": "ab"}).hash()


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1), min_size=1))
def test_jsonl_round_trip(tmp_path_factory, documents):
    path = tmp_path_factory.mktemp("jsonl") / "x.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in documents))
    assert texts(read_corpus(path)) == documents
