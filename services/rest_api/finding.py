"""Messages and conversations that have what is asked: the SQL of a search, and when which is run.

First the newest messages of the user's conversations are read as they are, some thousands: that
finds whatever is common, and all there is to find for most users. Only what is not found there is
looked up in the indexes, which are made for those who need them (`Hints.index`), together with
what the indexes lack.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, NamedTuple
from uuid import UUID

from libs.common.protocol.messages import Message
from services.rest_api.asked import Alternative
from services.rest_api.hints import Hints
from services.rest_api.pages import Place
from services.rest_api.search_room import SearchRoom
from services.rest_api.store import QUERIES, Row, Store, message_in

READ_FIRST: Final = 4_000
"""Messages that a search reads before it asks an index, over all of the user's conversations."""
READ_MOST: Final = 2 * READ_FIRST
"""A second look that finds more to read was misled by a burst: then the indexes are cheaper."""
OF_EACH_LEAST: Final = 20
UNINDEXED_MOST: Final = 1_000
"""More messages than that shall not be read as they are by each search."""

BEGINNING: Final = datetime.min.replace(tzinfo=UTC)

_ASKED: Final = re.compile(r"/\* asked of ([\w.]+) \*/")
_INDEXED: Final = "/* indexed */"
_LIKE: Final = str.maketrans({"\\": r"\\", "%": r"\%", "_": r"\_"})


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is searched for, and where."""

    asked: Sequence[Alternative]
    conversation_id: UUID | None = None
    """None for all of the user's."""
    sender_id: UUID | None = None
    since: datetime = BEGINNING
    """Excluded."""


class _Searched(NamedTuple):
    """A conversation that a search looks through."""

    conversation_id: UUID
    indexed_seq: int
    unindexed: int


class _Seen(NamedTuple):
    """What was found among the newest messages."""

    hits: list[Row]
    horizon: datetime | None
    """All that is newer was read; None when nothing older was left out."""
    top: datetime | None
    """The newest one's time."""
    read: int
    """How many are newer than the horizon."""

    @property
    def is_all(self) -> bool:
        return self.horizon is None

    def since_for(self, messages: int) -> datetime | None:
        """From when on there are about so many, going by those read; None: not much earlier."""
        if self.horizon is None or self.top is None or self.read > messages // 2:
            return None
        try:
            return self.top - (self.top - self.horizon) * (messages / self.read)
        except OverflowError:
            return None


class Finding:
    """For any thread. Raises what `Store` and `SearchRoom` raise. Reads what PostgreSQL has."""

    def __init__(self, store: Store, hints: Hints, room: SearchRoom) -> None:
        self._store = store
        self._hints = hints
        self._room = room

    def messages(
        self, user_id: UUID, wanted: Wanted, after: Place, limit: int
    ) -> tuple[list[Message], Place | None]:
        """A page, newest first, of what follows `after`, and where the next one starts."""
        with self._room.of(user_id):
            found = self._found(user_id, wanted, after, limit)
        page = [message_in(row, user_id) for row in found[:limit]]
        next_place = Place(found[limit - 1][5], found[limit - 1][0]) if len(found) > limit else None
        return [message for message in page if message.content is not None], next_place

    def _found(self, user_id: UUID, wanted: Wanted, after: Place, limit: int) -> list[Row]:
        searched = self._searched(user_id, wanted.conversation_id)
        parameters = {
            **_parameters(searched, wanted.asked),
            "at": after.at,
            "id": after.id,
            "since": wanted.since,
            "sender_id": wanted.sender_id,
            # One more than asked for tells whether there is a next page.
            "limit": limit + 1,
        }
        return self._messages(searched, wanted.asked, parameters, limit + 1)

    def conversations(self, user_id: UUID, asked: Sequence[Alternative]) -> list[UUID]:
        """Those of the user's in which a message has it."""
        with self._room.of(user_id):
            return self._conversations(user_id, asked)

    def _conversations(self, user_id: UUID, asked: Sequence[Alternative]) -> list[UUID]:
        searched = self._searched(user_id, None)
        statement = _statement("conversations_newest", asked)
        rows = self._store.find(statement, _parameters(searched, asked))
        found = {conversation_id for conversation_id, has_it, _ in rows if has_it}
        cut = {conversation_id for conversation_id, has_it, is_cut in rows if is_cut and not has_it}
        if cut:
            left = [one for one in searched if one.conversation_id in cut]
            statement = _statement("conversations_all", asked)
            rows = self._store.find(statement, _parameters(left, asked))
            found.update(conversation_id for (conversation_id,) in rows)
            self._index(left)
        return list(found)

    def _messages(
        self,
        searched: Sequence[_Searched],
        asked: Sequence[Alternative],
        parameters: dict[str, Any],
        limit: int,
    ) -> list[Row]:
        seen = self._newest(asked, parameters)
        if seen.is_all or len(seen.hits) == limit:
            return seen.hits
        # Where a few conversations have most of the messages, little was read of those.
        since = seen.since_for(READ_FIRST)
        if since is not None and since > parameters["since"]:
            seen = self._newest(
                asked, parameters | {"since": since, "each": READ_FIRST, "most": READ_MOST}
            )
            if len(seen.hits) == limit:
                return seen.hits
        self._index(searched)
        return self._store.find(_statement("search_all", asked), parameters)

    def _newest(self, asked: Sequence[Alternative], parameters: dict[str, Any]) -> "_Seen":
        rows = self._store.find(_statement("search_newest", asked), parameters)
        hits = [row[3:] for row in rows if row[3] is not None]
        return _Seen(hits, *rows[0][:3])

    def _searched(self, user_id: UUID, conversation_id: UUID | None) -> list[_Searched]:
        parameters = {"user_id": user_id, "conversation_id": conversation_id}
        return [_Searched(*row) for row in self._store.find(QUERIES["searched"], parameters)]

    def _index(self, searched: Sequence[_Searched]) -> None:
        """Has the indexes extended where too much is left to be read without them."""
        if sum(one.unindexed for one in searched) > UNINDEXED_MOST:
            longest = sorted(searched, key=lambda one: one.unindexed, reverse=True)
            self._hints.index(one.conversation_id for one in longest if one.unindexed)


def _parameters(searched: Sequence[_Searched], asked: Sequence[Alternative]) -> dict[str, Any]:
    behind = [one for one in searched if one.unindexed]
    each = max(READ_FIRST // max(1, len(searched)), OF_EACH_LEAST)
    return {
        **dict(_texts(asked)),
        "ids": [one.conversation_id for one in searched],
        "tails": [one.conversation_id for one in behind],
        "indexed": [one.indexed_seq for one in behind],
        "each": each,
        "most": each * len(searched) + 1,
    }


def _statement(name: str, asked: Sequence[Alternative]) -> str:
    """The named statement for what is asked.

    Each alternative has an indexed part of its own: PostgreSQL would rather read all than unite
    what two indexes find.
    """
    text = QUERIES[name]
    if _INDEXED in text:
        part = QUERIES[name.replace("_all", "_indexed")].removesuffix(";")
        parts = (_ASKED.sub(partial(_one, n, one), part) for n, one in enumerate(asked))
        text = text.replace(_INDEXED, "\nunion\n".join(parts))
    return _ASKED.sub(partial(_any, asked), text)


def _any(asked: Sequence[Alternative], column: re.Match[str]) -> str:
    """Of any alternative, of a column that is read as it is.

    What is dear is made once, not for each part of what is asked: the text in lower case, and, only
    of one that contains the parts, its words. Without the offsets PostgreSQL would put the
    functions wherever their results are named.
    """
    each = [_contained(n, one, "lowered.text like lower(%({})s)") for n, one in enumerate(asked)]
    found = " or ".join(each)
    if any(one.whole_words or one.excluded for one in asked):
        whole = " or ".join(
            _condition(n, one, each[n], "made.words") for n, one in enumerate(asked)
        )
        words = f"(select search_words({column[1]}) as words offset 0) as made"
        found = f"({found}) and exists (select from {words} where {whole})"
    text = f"(select lower({column[1]}) as text offset 0) as lowered"
    return f"exists (select from {text} where {found})"


def _one(number: int, alternative: Alternative, column: re.Match[str]) -> str:
    """In the form that the indexes know."""
    contained = _contained(number, alternative, f"{column[1]} ilike %({{}})s")
    return _condition(number, alternative, contained, f"search_words({column[1]})")


def _contained(number: int, alternative: Alternative, comparison: str) -> str:
    names = (f"part{number}_{n}" for n in range(len(alternative.contained)))
    return f"({' and '.join(map(comparison.format, names))})"


def _condition(number: int, alternative: Alternative, contained: str, words: str) -> str:
    """In SQL: all of it, where the text has these words. Its parameters are those of `_texts`."""
    parts = [contained]
    if alternative.whole_words:
        parts.append(f"{words} @@ search_query(%(words{number})s)")
    if alternative.excluded:
        without = " || ".join(
            f"phraseto_tsquery('simple', spaced(%(without{number}_{n})s))"
            for n in range(len(alternative.excluded))
        )
        parts.append(f"not {words} @@ ({without})")
    return f"({' and '.join(parts)})"


def _texts(asked: Iterable[Alternative]) -> Iterator[tuple[str, str]]:
    """Names and values of the conditions' parameters."""
    for number, alternative in enumerate(asked):
        yield f"words{number}", alternative.whole_words
        for n, part in enumerate(alternative.contained):
            yield f"part{number}_{n}", f"%{part.translate(_LIKE)}%"
        for n, text in enumerate(alternative.excluded):
            yield f"without{number}_{n}", text
