"""The built-in concepts by name: which parser makes a track, and for which language.

Names are ``string`` (of each document's own language), ``c.string`` (of a given one),
``pygments.ruby`` and ``pygments.ruby.String`` (token types), and ``quotation`` (of any text).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import PurePosixPath

import numpy as np

from interp.annotations.characters import CHARACTER_CONCEPTS, annotate_characters
from interp.annotations.lexer_tokens import annotate_lexer, check_lexer, is_within, known_types
from interp.annotations.prose import PROSE_CONCEPTS, annotate_prose
from interp.annotations.python_source import PYTHON_CONCEPTS, annotate_python
from interp.annotations.regions import DELIMITERS
from interp.annotations.syntax_trees import LANGUAGES, TREE_CONCEPTS, annotate_tree
from interp.errors import CorpusError, InterpError, unknown_name

#: Every built-in concept that goes by one word, and what it means.
CONCEPTS = PYTHON_CONCEPTS | CHARACTER_CONCEPTS | PROSE_CONCEPTS

#: Endings of document names to languages.
ENDINGS = {
    ".py": "python", ".pyi": "python", ".c": "c", ".h": "c", ".cc": "cpp", ".cpp": "cpp",
    ".cxx": "cpp", ".hh": "cpp", ".hpp": "cpp", ".js": "javascript", ".mjs": "javascript",
    ".cjs": "javascript", ".jsx": "javascript", ".ts": "typescript", ".tsx": "tsx",
    ".java": "java", ".go": "go", ".rs": "rust",
}  # fmt: skip


@dataclass(frozen=True)
class Concept:
    """A concept as asked for, taken apart.

    Attributes
    ----------
    name : str
        As it will be stored.
    family : {"code", "pygments", "characters", "prose"}
    track : str
        The track of the family's parser; a token type, or "" for all of them.
    language : str or None
        None: that of each document.
    """

    name: str
    family: str
    track: str
    language: str | None = None


def concept_names() -> list[str]:
    """Return the concepts that go by one word, and those with a language."""
    with_language = [f"{lang}.{c}" for lang in LANGUAGES for c in TREE_CONCEPTS]
    return [*CONCEPTS, *(f"python.{c}" for c in PYTHON_CONCEPTS), *with_language]


def is_concept(name: str) -> bool:
    """Whether `name` is a built-in concept."""
    try:
        parse_concept(name)
    except InterpError:
        return False
    return True


def parse_concept(name: str) -> Concept:
    """Take the name of a concept apart; a plural is understood.

    Raises
    ------
    InterpError
        If there is no such concept; the message has the nearest names.
    """
    family, _, rest = name.partition(".")
    if family == "pygments" and rest:
        language, _, kind = rest.partition(".")
        check_lexer(language)
        types = known_types()
        if kind and not any(is_within(known, kind) for known in types):
            raise InterpError(unknown_name("token type of Pygments", kind, types))
        return Concept(name, "pygments", kind, language)
    known = concept_names()
    if name not in known:
        single = name.removesuffix("ies") + "y" if name.endswith("ies") else name.removesuffix("s")
        if single not in known:
            hint = (
                "`pygments.LANGUAGE.TYPE` gives token types; --from and --function take your own."
            )
            raise InterpError(unknown_name("concept", name, known, hint))
        name = single
    language, dot, track = name.rpartition(".")
    if not dot and track in CHARACTER_CONCEPTS:
        return Concept(name, "characters", track)
    if not dot and track in PROSE_CONCEPTS:
        return Concept(name, "prose", track)
    return Concept(name, "code", track, language or None)


def language_of(document: str) -> str | None:
    """Return the language that a document's name says, or None."""
    return ENDINGS.get(PurePosixPath(document.replace("\\", "/")).suffix.lower())


@dataclass
class Labeller:
    """Labels texts with concepts; each parser reads a text once, for all of its concepts.

    Parameters
    ----------
    concepts : list of Concept
    delimiters : {"state", "in", "out", "apart"}
    strict : bool
        Whether a text that a parser refuses is an error; else it has no label.

    Attributes
    ----------
    refused : dict of str to CorpusError
        Texts without a label, by name, and why.
    """

    concepts: list[Concept]
    delimiters: str = "state"
    strict: bool = True
    refused: dict[str, CorpusError] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.delimiters not in DELIMITERS:
            raise InterpError(
                f"Delimiters count as {', '.join(DELIMITERS)}, not {self.delimiters!r}."
            )

    def label(
        self, text: str, name: str, language: str
    ) -> dict[str, np.ndarray | tuple[np.ndarray, list[str]] | None]:
        """Return the track of each concept for one text, by the concept's name.

        Parameters
        ----------
        text, name : str
            The document and what to call it in messages.
        language : str
            For concepts that do not name one.

        Returns
        -------
        dict of str to ndarray (n_characters,), or to (codes, categories)
            None for what cannot be told of this text; where `strict`, that is an error.
        """
        parsed: dict[tuple[str, str | None], dict[str, np.ndarray] | None] = {}
        found: dict[str, np.ndarray | tuple[np.ndarray, list[str]] | None] = {}
        for concept in self.concepts:
            spoken = concept.language or (language if concept.family == "code" else None)
            if concept.family == "pygments":
                codes, types = annotate_lexer(text, spoken or "")
                found[concept.name] = (
                    np.array([is_within(t, concept.track) for t in types], bool)[codes]
                    if concept.track and types
                    else np.zeros(len(text), bool)
                    if concept.track
                    else (codes, types)
                )
                continue
            key = concept.family, spoken
            if key not in parsed:
                parsed[key] = self._parsed(concept.family, spoken, text, name)
            tracks = parsed[key]
            if tracks is not None and concept.track not in tracks:
                raise InterpError(unknown_name(f"concept of {spoken}", concept.track, tracks))
            found[concept.name] = None if tracks is None else tracks[concept.track]
        return found

    def _parsed(
        self, family: str, language: str | None, text: str, name: str
    ) -> dict[str, np.ndarray] | None:
        try:
            return self._parse(family, language, text, name)
        except CorpusError as error:
            if self.strict:
                raise
            self.refused[name] = error
            return None

    def _parse(
        self, family: str, language: str | None, text: str, name: str
    ) -> dict[str, np.ndarray]:
        if family == "characters":
            return annotate_characters(text)
        if family == "prose":
            return annotate_prose(text, self.delimiters)
        if language == "python":
            return annotate_python(text, name, self.delimiters)
        if language not in LANGUAGES:
            raise InterpError(unknown_name("language", str(language), ["python", *LANGUAGES]))
        return annotate_tree(text, language, self.delimiters)


#: A user's function from a text to one value per character.
Function = Callable[[str], object]
