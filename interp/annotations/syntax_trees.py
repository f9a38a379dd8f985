"""Concepts of C, JavaScript and other languages per character, from tree-sitter.

The parsers are the optional extra ``interp[concepts]``. They also parse what is cut off or wrong,
and say where; the labels are then the best that the parser makes of it.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from interp.annotations.regions import Region, paint, without_marks
from interp.errors import InterpError

#: Concept name to what it means.
TREE_CONCEPTS = {
    "string": "inside a string or character literal",
    "comment": "inside a comment",
    "if_condition": "inside the condition of an `if`",
    "if_body": "inside what an `if` runs when it holds",
    "function_call": "inside the parentheses of a call",
    "bracket_depth": "number of open brackets",
}

#: Language to the package with its parser, and the function of that package.
LANGUAGES = {
    "c": ("tree_sitter_c", "language"),
    "cpp": ("tree_sitter_cpp", "language"),
    "go": ("tree_sitter_go", "language"),
    "java": ("tree_sitter_java", "language"),
    "javascript": ("tree_sitter_javascript", "language"),
    "rust": ("tree_sitter_rust", "language"),
    "tsx": ("tree_sitter_typescript", "language_tsx"),
    "typescript": ("tree_sitter_typescript", "language_typescript"),
}

_STRINGS = {
    "string_literal", "char_literal", "raw_string_literal", "string", "template_string",
    "interpreted_string_literal", "rune_literal", "character_literal", "text_block",
    "system_lib_string",
}  # fmt: skip
_COMMENTS = {"comment", "line_comment", "block_comment", "html_comment", "hash_bang_line"}
_IFS = {"if_statement", "if_expression"}
_CALLS = {
    "call_expression", "new_expression", "method_invocation", "object_creation_expression",
}  # fmt: skip
_OPENING_MARKS = re.compile(r"[A-Za-z0-9]*#*(\"\"\"|[\"'`<])")
_BRACKETS = {"(": 1, "[": 1, "{": 1, "${": 1, ")": -1, "]": -1, "}": -1}


def annotate_tree(text: str, language: str, delimiters: str = "state") -> dict[str, np.ndarray]:
    """Return every concept of `TREE_CONCEPTS` for each character of source code.

    Parameters
    ----------
    text : str
    language : str
        A key of `LANGUAGES`.
    delimiters : {"state", "in", "out", "apart"}
        See :meth:`interp.annotations.regions.Region.inside`.

    Returns
    -------
    dict of str to ndarray (n_characters,)
        bool, and int32 for the depth.

    Raises
    ------
    InterpError
        If the parser is not installed.
    """
    data = text.encode("utf-8", "replace")
    # Number of characters that begin before each byte.
    begins = (np.frombuffer(data, np.uint8) & 0xC0) != 0x80
    character = np.concatenate([[0], np.cumsum(begins)])
    regions: dict[str, list[Region]] = {concept: [] for concept in TREE_CONCEPTS}
    depth, brackets = np.zeros(len(text) + 1, np.int32), []
    for node in _nodes(_parser(language).parse(data).root_node):
        kind = node.type
        start, stop = int(character[node.start_byte]), int(character[node.end_byte])
        if kind in _BRACKETS and node.child_count == 0 and start < stop:
            # Like a region: the opening bracket is inside, the closing one is outside again.
            inside = delimiters != "out" if _BRACKETS[kind] > 0 else delimiters != "in"
            depth[start if inside else stop] += _BRACKETS[kind]
            brackets.append(Region(start, stop, opening=stop - start))
        elif kind in _STRINGS:
            regions["string"].append(_literal(text, start, stop))
        elif kind in _COMMENTS:
            regions["comment"].append(_comment(text, start, stop))
        elif kind in _IFS:
            _add_if(node, character, text, regions)
        elif kind in _CALLS and (arguments := node.child_by_field_name("arguments")):
            regions["function_call"].append(_bracketed(text, *_span(arguments, character)))
    tracks = {c: paint(len(text), regions[c], delimiters) for c in TREE_CONCEPTS}
    found = np.cumsum(depth[: len(text)], dtype=np.int32)
    tracks["bracket_depth"] = without_marks(found, brackets) if delimiters == "apart" else found
    return tracks


def _parser(language: str) -> Any:
    module, function = LANGUAGES[language]
    try:
        import tree_sitter

        package = importlib.import_module(module)
    except ImportError as error:
        raise InterpError(
            f"Labelling {language} needs the parser {module.replace('_', '-')}: "
            "pip install 'interp[concepts]'."
        ) from error
    return tree_sitter.Parser(tree_sitter.Language(getattr(package, function)()))


def _nodes(root: Any) -> Iterator[Any]:
    """Yield all nodes from the root down; nothing inside a string or comment."""
    cursor = root.walk()
    while True:
        node = cursor.node
        yield node
        # Code inside a template string is code again.
        closed = node.type in _COMMENTS or (
            node.type in _STRINGS and node.type != "template_string"
        )
        if not closed and cursor.goto_first_child():
            continue
        while not cursor.goto_next_sibling():
            if not cursor.goto_parent():
                return


def _span(node: Any, character: np.ndarray) -> tuple[int, int]:
    return int(character[node.start_byte]), int(character[node.end_byte])


def _literal(text: str, start: int, stop: int) -> Region:
    opening = _OPENING_MARKS.match(text, start, stop)
    if opening is None:
        return Region(start, stop)
    marks = opening.group(1)
    closing = {"<": ">"}.get(marks, marks) + "#" * opening.group().count("#")
    is_closed = stop - opening.end() >= len(closing) and text.endswith(closing, start, stop)
    return Region(start, stop, opening.end() - start, len(closing) if is_closed else 0)


def _comment(text: str, start: int, stop: int) -> Region:
    while stop > start and text[stop - 1] in "\r\n":
        stop -= 1
    if text.startswith("/*", start):
        is_closed = stop - start >= 4 and text.endswith("*/", start, stop)
        return Region(start, stop, 2, 2 if is_closed else 0)
    return Region(start, stop, 1 if text.startswith("#", start) else 2)


def _bracketed(text: str, start: int, stop: int) -> Region:
    opening = int(text[start : start + 1] in ("(", "{"))
    closing = int(opening and stop - start > 1 and text[stop - 1] in (")", "}"))
    return Region(start, stop, opening, closing)


def _add_if(node: Any, character: np.ndarray, text: str, regions: dict[str, list[Region]]) -> None:
    condition = node.child_by_field_name("condition")
    body = node.child_by_field_name("consequence")
    if condition is not None and condition.end_byte > condition.start_byte:
        regions["if_condition"].append(_bracketed(text, *_span(condition, character)))
    if body is not None and body.end_byte > body.start_byte:
        regions["if_body"].append(_bracketed(text, *_span(body, character)))
