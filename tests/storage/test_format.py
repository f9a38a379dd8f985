"""docs/format.md, held against files that have just been written."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import interp
from interp.storage import AnnotationPlan, PredictionPlan, StreamPlan, open_recording, schema
from tests.storage.example import Example, by_document, cut, site, small, stream
from tests.storage.maps import Maps, map_site

DOCUMENT = Path(interp.__file__).parents[1] / "docs" / "format.md"
TEXT = DOCUMENT.read_text(encoding="utf-8")

FLOATS = {"float16", "float32", "float64"}
UINTS = {"uint8", "uint16", "uint32", "uint64"}
INTS = {"int8", "int16", "int32", "int64"}
WEIGHTS = {"float16", "float32", "uint8"}
FAMILIES = {
    "weight": WEIGHTS,
    "float": FLOATS,
    "uint": UINTS | {"int64"},
    "number": FLOATS | UINTS | INTS,
}
PLACEHOLDERS = {"STREAM": r"[^/]+", "SITE": r".+", "NUMBER": r"\d+"}


def tables() -> dict[str, list[list[str]]]:
    """The rows of all tables of the document, by the first cell of their header."""
    found: dict[str, list[list[str]]] = {}
    rows: list[list[str]] | None = None
    for line in TEXT.splitlines():
        if not line.startswith("|"):
            rows = None
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if rows is None:
            rows = found.setdefault(cells[0], [])
        elif set(cells[0]) != {"-"}:
            rows.append(cells)
    return found


TABLES = tables()


def pattern(path: str) -> re.Pattern[str]:
    text = re.escape(path.strip("`"))
    for word, expression in PLACEHOLDERS.items():
        group = f"(?P<{word}>{expression})"
        text = re.sub(rf"\b{word}(?=\b|_)", lambda _, group=group: group, text)
    return re.compile(text)


def type_of(dtype: np.dtype) -> str:
    if found := h5py.check_string_dtype(dtype):
        assert found.length is not None, "a string of variable length"
        return "String" if found.encoding == "utf-8" else dtype.str[1:]
    return dtype.str[1:] if dtype.kind == "S" else dtype.newbyteorder("=").name


def type_of_attribute(item: Any, name: str) -> str:
    return type_of(item.attrs.get_id(name).dtype)


def allowed(documented: str) -> set[str]:
    return FAMILIES.get(documented, {documented})


def dimensions(shape: str, sizes: dict[str, int]) -> list[int | None]:
    """Work out a documented shape; None for `any`."""
    out: list[int | None] = []
    for term in filter(None, (part.strip() for part in shape.strip("()").split(","))):
        parts = [part.strip() for part in term.split("+")]
        if parts == ["any"]:
            out.append(None)
        else:
            out.append(sum(int(part) if part.isdigit() else sizes[part] for part in parts))
    return out


def sizes_of(file: h5py.File, name: str, match: dict[str, str]) -> dict[str, int]:
    """What the words of the document mean for one data set."""
    sites = len(file["site_names"])
    sizes = {"n_sites": sites, "n_streams": len(file["stream_names"])}
    sizes["n_segments"] = len(file["progress/checksums"])
    maps = file.get("attention", {})
    filled = [part for part in datasets(maps) if not part.endswith("/segment_start")]
    sizes["n_columns"] = sites + (3 if "predictions" in file else 0) + len(filled)
    owner = file[name]
    if name.startswith("attention/"):
        owner = owner.parent
        sizes["n_heads"] = int(owner.attrs["n_heads"])
    if name.startswith("key_ranges/"):
        number = int(name.partition("/")[2].removesuffix("_start").removesuffix("_order"))
        sites = [maps[site] for site in file["attention_names"].asstr()[:]]
        owner = next(site for site in sites if site.attrs["key_ranges"] == number)
    if name.startswith("predictions/"):
        owner = file["predictions"]
        sizes["top_k"] = file["predictions/top_id"].shape[1]
    which = match.get("STREAM") or owner.attrs.get("stream", b"").decode()
    if which:
        start = file[f"streams/{which}/document_start"][:]
        sizes |= {"n_documents": len(start) - 1, "n_positions": int(start[-1])}
    if "SITE" in match and name.startswith("activations/"):
        per = owner.attrs["per"].decode()
        sizes["n_rows"] = sizes["n_positions" if per == "position" else "n_documents"]
        sizes["n_units"] = owner.shape[1]
    return sizes


def check_attributes(item: Any, rows: list[list[str]]) -> None:
    documented = {row[0].strip("`"): row for row in rows}
    assert set(item.attrs) <= set(documented), item.name
    for name, (_, kind, required, *_) in documented.items():
        assert required in ("MUST", "MAY")
        assert name in item.attrs or required == "MAY", (item.name, name)
        if name in item.attrs:
            assert type_of_attribute(item, name) == kind, (item.name, name)


def datasets(file: Any) -> dict[str, h5py.Dataset]:
    found: dict[str, h5py.Dataset] = {}
    if file:
        file.visititems(
            lambda name, item: found.update({name: item} if hasattr(item, "shape") else {})
        )
    return found


def annotations(n: int) -> tuple[AnnotationPlan, ...]:
    return (
        AnnotationPlan("even", np.arange(n) % 2 == 0),
        AnnotationPlan("third", ["a", "b", "c"][0:1] * n, parameters={"by": 3}),
        AnnotationPlan("depth", np.arange(n)),
    )


def several() -> list[Example]:
    two = [stream([4, 6], name="source", kind="words"), stream([7, 2], 1, name="target")]
    attention_like = site("x/output", 8, stream="target", n_heads=2, key_stream="source")
    return [
        small(annotations=annotations(26)),
        small(streams=[stream([9, 4, 1, 12], kind="words")], predictions=None),
        small(streams=[stream([9, 4, 1, 12], kind="numbers")]),
        Example(
            two,
            [site("e/l0/hidden", 6, stream="source"), attention_like],
            {"source": cut(10, 4), "target": np.array([[0, 0], [0, 8], [8, 9]])},
            PredictionPlan("target", "same", 2),
        ),
        with_maps(),
        small(streams=[stream([9, 4, 1, 12], kind="patches")]),
    ]


def with_maps() -> Example:
    """Two streams, self- and cross-attention in all forms."""
    two = [stream([4, 6], name="source", kind="words"), stream([7, 2], 1, name="target")]
    lengths = {"source": [4, 6], "target": [7, 2]}
    cross = {"stream": "target", "key_stream": "source", "keys": "document"}
    own = {"stream": "target", "key_stream": "target"}
    sites = [
        map_site("d.0/attention", 2, **own),
        map_site("d.1/attention", 2, dtype="uint8", **own),
        map_site("d.2/attention", 3, form="top-p", mass=0.9, **own),
        map_site("d.0.cross/attention", 2, form="stats", **cross),
    ]
    maps = [Maps.random(s, lengths[s.stream], lengths[s.key_stream]) for s in sites]
    backwards = np.concatenate([np.arange(n)[::-1] for n in lengths["target"]])
    maps[1] = replace(maps[1], plan=replace(maps[1].plan, key_order=backwards))
    return Example(
        two,
        [],
        {"source": np.array([[0, 4], [4, 10]]), "target": np.array([[0, 7], [7, 9]])},
        None,
        maps=tuple(maps),
    )


@pytest.mark.parametrize("number", range(6))
def test_the_file_is_as_the_document_says(tmp_path, number):
    path = several()[number].record(tmp_path / "run.h5")
    rows = [(pattern(row[0]), *row[1:4]) for row in TABLES["data set"]]
    with h5py.File(path) as file:
        check_attributes(file, TABLES["attribute"])
        seen = set()
        for name, dataset in datasets(file).items():
            matches = [(row, found) for row in rows if (found := row[0].fullmatch(name))]
            exact = [pair for pair in matches if not pair[0][0].groups] or matches
            assert len(exact) == 1, (name, [row[0].pattern for row, _ in matches])
            (found, kind, shape, _), match = exact[0]
            seen.add(found.pattern)
            assert type_of(dataset.dtype) in allowed(kind), name
            expected = dimensions(shape, sizes_of(file, name, match.groupdict()))
            actual = [
                None if documented is None else n
                for documented, n in zip(expected, dataset.shape, strict=True)
            ]
            assert actual == expected, name
            assert dataset.dtype.byteorder in "<=|" or dataset.dtype.kind == "O"
            for what in ("activations/SITE", "annotations/NUMBER"):
                if pattern(what).fullmatch(name):
                    check_attributes(dataset, TABLES[f"attribute of `{what}`"])
        missing = [
            row[0].pattern for row in rows if row[3] == "MUST" and row[0].pattern not in seen
        ]
        assert not missing
        for name in several()[number].plan().attention:
            check_attributes(file[f"attention/{name}"], TABLES["attribute of `attention/SITE`"])
        if "predictions" in file:
            check_attributes(file["predictions"], TABLES["attribute of `predictions`"])


def test_every_documented_data_set_is_written_by_one_of_them(tmp_path):
    names: set[str] = set()
    for i, example in enumerate(several()):
        with h5py.File(example.record(tmp_path / f"{i}.h5")) as file:
            names |= set(datasets(file))
    for row in TABLES["data set"]:
        assert any(pattern(row[0]).fullmatch(name) for name in names), row[0]


def test_files_beside_the_recording(tmp_path):
    path = small().record(tmp_path / "run.h5")
    with open_recording(path) as recording:
        beside = recording.write_annotation("a/b", ["x", "y"] * 13)
        recording.view().build("lstm/l0/hidden")
    with h5py.File(beside) as file:
        assert beside.name == "annotation.a%2Fb.h5"
        check_attributes(file, TABLES["attribute of an annotation file"])
        check_attributes(file["values"], TABLES["attribute of `annotations/NUMBER`"])
        assert set(file) == {"values", "values_categories", "values_categories_start"}
    with h5py.File(tmp_path / "run.view.h5") as file, h5py.File(path) as recording:
        check_attributes(file, TABLES["attribute of a view"])
        rows = [(pattern(row[0]), *row[1:3]) for row in TABLES["data set of a view"]]
        for name, dataset in datasets(file).items():
            ((kind, shape, match),) = [
                (kind, shape, found)
                for expression, kind, shape in rows
                if (found := expression.fullmatch(name))
            ]
            assert type_of(dataset.dtype) == kind
            sizes = {"n_sites": 4}
            if "SITE" in match.groupdict():
                of = recording[f"activations/{match['SITE']}"].shape
                sizes |= {"n_rows": of[0], "n_units": of[1]}
            assert list(dataset.shape) == dimensions(shape, sizes)


def document_example(path: Path) -> None:
    texts = ["a = 1", "b\n "]
    alphabet = sorted(set("".join(texts)))
    text = StreamPlan(
        "text",
        ["one.py", "two.py"],
        np.array([0, 5, 8]),
        texts,
        np.array([alphabet.index(c) for c in "".join(texts)]),
        None,
        alphabet,
    )
    small(
        streams=[text],
        sites=[site("lstm/l0/cell", 4)],
        segments={"text": cut(8, 5)},
        predictions=PredictionPlan("text", "next", 2),
        annotations=(AnnotationPlan("digit", np.array([c.isdigit() for c in "".join(texts)])),),
    ).record(path)


def printed(path: Path) -> str:
    """The contents of a file as the document prints them."""
    lines = []
    with h5py.File(path) as file:

        def show(name: str, item: Any) -> None:
            kind = ""
            if isinstance(item, h5py.Dataset):
                kind = f"{type_of(item.dtype):<8}{item.shape}"
            lines.append(f"{name or '/':<40}{kind}".rstrip())
            for key in sorted(item.attrs):
                value = item.attrs[key]
                value = value.decode() if isinstance(value, bytes) else value
                shown = "interp VERSION" if key == "created_by" else value
                lines.append(f"    @{key} = {shown}")

        show("", file)
        file.visititems(show)
    return "\n".join(lines)


def test_the_printed_file(tmp_path):
    document_example(tmp_path / "run.h5")
    block = re.search(r"```text\n(.*?)\n```", TEXT, re.DOTALL)
    assert block is not None
    assert block[1] == printed(tmp_path / "run.h5")


def test_the_python_of_the_document_runs(tmp_path, monkeypatch, capsys):
    document_example(tmp_path / "run.h5")
    monkeypatch.chdir(tmp_path)
    code = re.search(r"```python\n(.*?)```", TEXT, re.DOTALL)
    assert code is not None
    scope: dict[str, Any] = {}
    exec(compile(code[1], "format.md", "exec"), scope)
    assert capsys.readouterr().out == "b\n \n"
    assert scope["document"].shape == (3, 4)
    assert scope["unit"].shape == (8,)


def test_the_python_that_reads_a_head_runs(tmp_path, monkeypatch):
    lengths = [9, 4, 1, 12]
    maps = Maps.random(map_site("h.0.attn/attention"), lengths, lengths)
    small(segments={"text": by_document(lengths, 5)}, maps=(maps,)).record(tmp_path / "run.h5")
    monkeypatch.chdir(tmp_path)
    code = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)[1]
    scope: dict[str, Any] = {"h5py": h5py}
    exec(compile(code, "format.md", "exec"), scope)
    np.testing.assert_array_equal(scope["head_map"], maps.expected(1)[0])


def test_the_version_and_the_constants(tmp_path):
    assert f"version {schema.FORMAT_VERSION}" in TEXT.splitlines()[0]
    assert f"({schema.CHUNK_POSITIONS}, {schema.CHUNK_UNITS})" in TEXT
    for name in (schema.FORMAT, schema.VIEW_FORMAT, schema.RESULT_FORMAT):
        assert f"`{name}`" in TEXT


def test_the_fingerprint_as_the_document_defines_it(tmp_path):
    import hashlib
    import json

    path = small().record(tmp_path / "run.h5")
    with h5py.File(path) as file:
        digests = json.loads(file["digests"][()])
        hashed = hashlib.sha256()
        for name in sorted(digests):
            if name not in ("schedule", "model", "provenance"):
                hashed.update(f"{name} {digests[name]}\n".encode())
        hashed.update(file["progress/checksums"][:].tobytes())
        assert file["progress/fingerprint"][0].decode() == hashed.hexdigest()


if __name__ == "__main__":  # python -m tests.storage.test_format: print the example
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        document_example(Path(folder) / "run.h5")
        print(printed(Path(folder) / "run.h5"))
