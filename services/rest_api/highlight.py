"""Where in a text stands what a search has asked for. Pure."""

import re
from collections.abc import Iterable, Sequence

from services.rest_api.asked import Alternative
from services.rest_api.contract import Span


class Highlighter:
    """Of the hits of one search."""

    def __init__(self, asked: Sequence[Alternative]) -> None:
        # Each by itself: two of them may overlap.
        self._patterns = [
            re.compile(pattern, re.IGNORECASE)
            for pattern in dict.fromkeys(p for one in asked for p in one.patterns)
        ]

    def spans(self, content: str) -> list[Span]:
        """In code points, in order; none touches another."""
        return merged(
            match.span() for pattern in self._patterns for match in pattern.finditer(content)
        )


def merged(spans: Iterable[tuple[int, int]]) -> list[Span]:
    """What covers the same characters with as few spans as there can be."""
    joined: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        elif start < end:
            joined.append((start, end))
    return [Span(start, end) for start, end in joined]
