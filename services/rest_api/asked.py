"""What a search asks for: words, "phrases", -exclusions, and `or` between alternatives. Pure.

The same language as PostgreSQL's websearch_to_tsquery, in which `or` binds loosest. A word is also
found as the beginning of a longer one and, from three characters on, as any part of one; so is a
run of a script that has no spaces, however short, as its characters are words. What stands in
quotes is found as whole words that follow each other, what is excluded as a whole word.
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

MOST_CHARACTERS: Final = 200
MOST_TERMS: Final = 16
"""Words, those of phrases too, and exclusions: each is looked for in thousands of messages."""
PART_LEAST: Final = 3
"""The shortest part of a word that is searched for: pg_trgm's index holds groups of three."""

# The same as in SQL's spaced().
_SPACELESS: Final = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
)
_RUN: Final = re.compile(f"[{_SPACELESS}]+")
_TOKEN: Final = re.compile(r'(?P<minus>-*)(?:"(?P<phrase>[^"]*)"?|(?P<word>[^\s"]+))')
_PIECE: Final = re.compile(rf"[{_SPACELESS}]|[^\W_{_SPACELESS}]+")
"""Of a phrase: what follows the one before directly or after no letter or digit."""

_START: Final = rf"(?<![^\W_{_SPACELESS}])"
_END: Final = rf"(?![^\W_{_SPACELESS}])"
"""Of a word that is neither in a word of letters and digits nor goes on in one."""


class NotSearchable(ValueError):
    """There is no word to look for, none but excluded ones, or too many. Says what to do."""


@dataclass(frozen=True, slots=True)
class Alternative:
    """What a message must have, all of it, to be found."""

    words: tuple[str, ...] = ()
    """Of at least PART_LEAST characters: parts of words, in any case."""
    runs: tuple[str, ...] = ()
    """Of a script without spaces."""
    short: tuple[str, ...] = ()
    """Words of fewer characters: beginnings of words."""
    phrases: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    """Words and phrases."""

    @property
    def contained(self) -> tuple[str, ...]:
        """What a text that is found contains, as it stands: a cheap test, and mostly the last."""
        pieces = [piece for phrase in self.phrases for piece in _PIECE.findall(phrase)]
        return _distinct([*self.words, *self.runs, *self.short, *pieces])

    @property
    def whole_words(self) -> str:
        """For SQL's search_query(): what being contained is not enough for, or no index can tell.

        Empty: nothing.
        """
        characters = [one for run in self.runs if len(run) < PART_LEAST for one in run]
        return " ".join([*self.short, *characters, *(f'"{text}"' for text in self.phrases)])

    @property
    def patterns(self) -> tuple[str, ...]:
        """Regular expressions, for any case, of what a text has that was found."""
        return (
            *(re.escape(part) for part in self.words + self.runs),
            *(_START + re.escape(word) for word in self.short),
            *map(_phrase, self.phrases),
        )


def alternatives(asked: str) -> tuple[Alternative, ...]:
    """At least one. Raises NotSearchable."""
    groups: list[list[re.Match[str]]] = [[]]
    for token in _TOKEN.finditer(asked):
        if token[0].lower() == "or":
            groups.append([])
        else:
            groups[-1].append(token)
    found = [alternative for group in groups if (alternative := _alternative(group))]
    if not found:
        raise NotSearchable("q has no word to look for.")
    if any(not alternative.patterns for alternative in found):
        raise NotSearchable("q needs a word to look for beside those that it excludes.")
    if sum(len(one.contained) + len(one.excluded) for one in found) > MOST_TERMS:
        raise NotSearchable(f"q has more than {MOST_TERMS} words and exclusions.")
    return tuple(found)


def _alternative(tokens: list[re.Match[str]]) -> Alternative | None:
    """None where there is no word at all."""
    phrases: list[str] = []
    excluded: list[str] = []
    plain: list[str] = []
    for token in tokens:
        text = _trimmed(token["phrase"] if token["word"] is None else token["word"])
        if not _has_word(text):
            continue
        if token["minus"]:
            excluded.append(text)
        elif token["word"] is None:
            phrases.append(text)
        else:
            plain.append(text)
    if not (plain or phrases or excluded):
        return None
    runs = [run for text in plain for run in _RUN.findall(text)]
    pieces = [_trimmed(piece) for text in plain for piece in _RUN.split(text)]
    words = [piece for piece in pieces if _has_word(piece)]
    return Alternative(
        words=_distinct(word for word in words if len(word) >= PART_LEAST),
        runs=_distinct(runs),
        short=_distinct(word for word in words if len(word) < PART_LEAST),
        phrases=_distinct(phrases),
        excluded=_distinct(excluded),
    )


def _distinct(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts))


def _has_word(text: str) -> bool:
    return any(character.isalnum() for character in text)


def _trimmed(text: str) -> str:
    """Without punctuation, symbols and spaces at its ends. Marks stay: they belong to letters."""
    start, end = 0, len(text)
    while start < end and _is_no_part_of_words(text[start]):
        start += 1
    while end > start and _is_no_part_of_words(text[end - 1]):
        end -= 1
    return text[start:end]


def _is_no_part_of_words(character: str) -> bool:
    return unicodedata.category(character)[0] in "PSZC"


def _phrase(phrase: str) -> str:
    """Its words with what may stand between and beside them."""
    pattern, is_word_before = "", False
    for piece in _PIECE.findall(phrase):
        is_word = not _RUN.match(piece)
        if not pattern:
            between = _START if is_word else ""
        else:
            between = r"[\W_]+" if is_word and is_word_before else r"[\W_]*"
        pattern += between + re.escape(piece)
        is_word_before = is_word
    return pattern + (_END if is_word_before else "")
