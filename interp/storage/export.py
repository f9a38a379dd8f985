"""A selection as a file for other programs: CSV, NPZ or safetensors, with labels.

Values are written as stored, row after row, in bounded memory; the file appears whole or not at
all.
"""

from __future__ import annotations

import csv
import json
import os
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from interp import arguments
from interp.errors import StorageError
from interp.selection import Selection, as_selection
from interp.storage.atomic import replacing
from interp.storage.export_maps import MapTable, write_maps
from interp.storage.packed import pack
from interp.storage.table import Table

if TYPE_CHECKING:
    from interp.storage.recording import Recording

# How safetensors names the types of NumPy.
_SAFETENSORS = {
    "bool": "BOOL",
    "uint8": "U8",
    "uint16": "U16",
    "uint32": "U32",
    "uint64": "U64",
    "int8": "I8",
    "int16": "I16",
    "int32": "I32",
    "int64": "I64",
    "float16": "F16",
    "float32": "F32",
    "float64": "F64",
}

FORMATS = {".csv": "csv", ".npz": "npz", ".safetensors": "safetensors"}


def export(
    recording: Recording,
    selection: str | Selection,
    path: str | os.PathLike[str],
    annotations: Sequence[str] = (),
    overwrite: bool = False,
) -> int:
    """Write a selection into a file whose ending says its format.

    Parameters
    ----------
    recording : Recording
    selection : str or Selection
        Such as ``"lstm/l0/cell:87,90-95@doc3:100-200"``; of an attention site heads and queries,
        such as ``"h.3.attn/attention:5@doc0"``.
    path : str or path-like
        Ends in ``.csv``, ``.npz`` or ``.safetensors``.
    annotations : sequence of str
        Annotations to put beside the values.
    overwrite : bool
        Replace a file that is there.

    Returns
    -------
    int
        Number of rows written; of an attention site the number of queries.

    Raises
    ------
    StorageError
        If the format is unknown, the file exists, or cannot be written.
    """
    path = arguments.path("The file to write", path, StorageError)
    kind = FORMATS.get(path.suffix.lower())
    if kind is None:
        raise StorageError(f"{path}: the ending says the format: {', '.join(FORMATS)}.")
    if not path.parent.is_dir():
        raise StorageError(f"{path} cannot be written: there is no folder {path.parent}.")
    if os.path.exists(path) and not overwrite:
        raise StorageError(
            f"{path} exists already. Replace it with --overwrite (overwrite=True), or choose "
            "another name."
        )
    selection = as_selection(selection)
    if selection.site in recording.attention_sites:
        if annotations:
            raise StorageError(
                f"{selection.site} holds maps of queries and keys: there is no column for "
                "annotations beside them."
            )
        maps = MapTable(recording, selection)
        with replacing(path) as temporary:
            return write_maps(maps, kind, temporary)
    table = Table(recording, selection, annotations)
    write = {"csv": _write_csv, "npz": _write_npz, "safetensors": _write_safetensors}[kind]
    with replacing(path) as temporary:
        write(recording, table, temporary)
    return table.n_rows


def _write_csv(recording: Recording, table: Table, path: Path) -> None:
    """Write a header and one line per row; numbers in the shortest form that reads back equal."""
    with open(path, "w", newline="", encoding="utf-8", errors="backslashreplace") as file:
        writer = csv.writer(file)
        header = ["document", "document_name"]
        if not table.per_document:
            header.append("position")
            header.extend(["token"] if table.stream.tokens is not None else [])
            header.extend(table.annotation_names)
        writer.writerow(header + table.unit_names)
        for block in table.blocks():
            names = {i: table.stream.documents[i].name for i in set(block.document.tolist())}
            columns: list[Sequence[Any]] = [
                block.document.tolist(),
                [names[i] for i in block.document.tolist()],
            ]
            if not table.per_document:
                columns.append(block.inside.tolist())
                columns.extend([] if block.tokens is None else [block.tokens])
                for name, values in block.annotations.items():
                    columns.append(_words(values, recording.annotations[name].categories))
            columns.extend(block.values.astype(str).T.tolist())
            writer.writerows(zip(*columns, strict=True))


def _write_npz(recording: Recording, table: Table, path: Path) -> None:
    """Write arrays that `numpy.load` opens without pickle: values, unit_index and labels."""
    labels = _labels(recording, table)
    if table.stream.tokens is not None and not table.per_document:
        labels |= _texts("token", [t for b in table.blocks() for t in b.tokens or ()])
    labels |= _texts("document_name", table.document_names)
    labels["selection"] = np.array(str(table.selection))
    for name in table.annotation_names:
        if (categories := recording.annotations[name].categories) is not None:
            labels |= _texts(f"categories_{name}", categories)
    with zipfile.ZipFile(path, "w", allowZip64=True) as archive:
        with archive.open("values.npy", "w", force_zip64=True) as file:
            shape = table.n_rows, len(table.units)
            header = {"descr": table.dtype.str, "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
            for block in table.blocks():
                file.write(np.ascontiguousarray(block.values, table.dtype).data)
        for name, array in labels.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)


def _write_safetensors(recording: Recording, table: Table, path: Path) -> None:
    """Write tensors named values, unit_index and labels; names and tokens as metadata and bytes."""
    labels = _labels(recording, table)
    if table.stream.tokens is not None and not table.per_document:
        tokens = (token for block in table.blocks() for token in block.tokens or ())
        labels["token_bytes"], labels["token_start"] = pack(tokens)
    header: dict[str, Any] = {
        "__metadata__": {
            "selection": str(table.selection),
            "recording": recording.path.name,
            "document_names": json.dumps(table.document_names),
            "categories": json.dumps(
                {name: recording.annotations[name].categories for name in table.annotation_names}
            ),
        }
    }
    end = 0
    shapes = {"values": (table.dtype, (table.n_rows, len(table.units)))}
    shapes |= {name: (array.dtype, array.shape) for name, array in labels.items()}
    for name, (dtype, shape) in shapes.items():
        begin, end = end, end + dtype.itemsize * int(np.prod(shape))
        kind = _SAFETENSORS[dtype.newbyteorder("=").name]
        header[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for block in table.blocks():
            file.write(np.ascontiguousarray(block.values, table.dtype).data)
        for array in labels.values():
            file.write(np.ascontiguousarray(array).data)


def _labels(recording: Recording, table: Table) -> dict[str, np.ndarray]:
    """Return what stands beside the values: one entry per unit, or per row."""
    blocks = [
        (block.position, block.document, block.inside, *block.annotations.values())
        for block in table.blocks(values=False)
    ]
    columns = [np.concatenate(parts) for parts in zip(*blocks, strict=True)]
    beside = [f"annotation_{name}" for name in table.annotation_names]
    names = ["position", "document", "position_in_document", *beside]
    labels = {"unit_index": table.units, **dict(zip(names, columns, strict=True))}
    if table.per_document:
        del labels["position"], labels["position_in_document"]
    return labels


def _texts(name: str, strings: Sequence[str]) -> dict[str, np.ndarray]:
    r"""Return strings as an array of NumPy's, or as ``NAME_bytes`` and ``NAME_start``.

    NumPy fills its strings up with NUL characters and takes those at the end off again, so that
    ``"\0"`` would come back as ``""``. Strings with such an end go into UTF-8 bytes and the n + 1
    places at which they begin, as in a safetensors file.
    """
    if not any(string.endswith("\0") for string in strings):
        return {name: np.array(strings)}
    data, start = pack(strings)
    return {f"{name}_bytes": data, f"{name}_start": start}


def _words(values: np.ndarray, categories: list[str] | None) -> list[Any]:
    """Return annotation values as they are written into a table of text."""
    if categories is not None:
        return [categories[i] if i >= 0 else "" for i in values.tolist()]
    return values.astype(int).tolist() if values.dtype == bool else values.tolist()
