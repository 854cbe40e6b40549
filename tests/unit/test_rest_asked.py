"""What a search asks for, and where it stands in what was found."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.rest_api.asked import MOST_TERMS, Alternative, NotSearchable, alternatives
from services.rest_api.highlight import Highlighter, merged


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("hello", [Alternative(words=("hello",))]),
        ("  Hello,   (world)! ", [Alternative(words=("Hello", "world"))]),
        ("hi there", [Alternative(words=("there",), short=("hi",))]),
        ('say "good night" now', [Alternative(words=("say", "now"), phrases=("good night",))]),
        ('an "open phrase', [Alternative(short=("an",), phrases=("open phrase",))]),
        ("coffee -tea", [Alternative(words=("coffee",), excluded=("tea",))]),
        ('coffee -"green tea"', [Alternative(words=("coffee",), excluded=("green tea",))]),
        ("foo-bar", [Alternative(words=("foo-bar",))]),
        ("tea or coffee", [Alternative(words=("tea",)), Alternative(words=("coffee",))]),
        ("or tea OR or", [Alternative(words=("tea",))]),
        ('"or" tea', [Alternative(words=("tea",), phrases=("or",))]),
        ("你好", [Alternative(runs=("你好",))]),
        ("hello你好吗", [Alternative(words=("hello",), runs=("你好吗",))]),
        ("กาแฟ", [Alternative(runs=("กาแฟ",))]),
        ("c++ !!!", [Alternative(short=("c",))]),
        ("tea tea", [Alternative(words=("tea",))]),
        ("naïve Ärger", [Alternative(words=("naïve", "Ärger"))]),
    ],
)
def test_the_language(asked: str, found: list[Alternative]) -> None:
    assert list(alternatives(asked)) == found


@pytest.mark.parametrize("asked", ["", "  ", "!!! -", '""', "or", "-tea", "tea or -coffee", "😀"])
def test_nothing_to_look_for(asked: str) -> None:
    with pytest.raises(NotSearchable):
        alternatives(asked)


@pytest.mark.parametrize(
    "asked",
    ["a" + " -b" * 70, "tea -a -b -c -d -e -f -g -h -i -j -k -l -m -n -o", '"a b c d e f g h"'],
)
def test_as_many_terms_as_may_be(asked: str) -> None:
    (one,) = alternatives(asked)
    assert len(one.contained) + len(one.excluded) <= MOST_TERMS


@pytest.mark.parametrize(
    "asked",
    [
        "tea " + " ".join(f"-{n}" for n in range(MOST_TERMS)),
        " or ".join(f"w{n}" for n in range(MOST_TERMS + 1)),
        f'"{" ".join(map(str, range(MOST_TERMS + 1)))}"',
    ],
)
def test_too_many_terms(asked: str) -> None:
    with pytest.raises(NotSearchable, match="more than 16"):
        alternatives(asked)


@given(st.text(max_size=50))
def test_any_text_is_understood_or_refused(asked: str) -> None:
    try:
        found = alternatives(asked)
    except NotSearchable:
        return
    assert all(one.contained for one in found)
    Highlighter(found).spans(asked)


def test_what_only_full_text_can_tell() -> None:
    (one,) = alternatives('hi coffee 你好 日本語 "good night"')
    assert one.whole_words == 'hi 你 好 "good night"'
    assert one.contained == ("coffee", "你好", "日本語", "hi", "good", "night")


@pytest.mark.parametrize(
    ("asked", "content", "found"),
    [
        ("coffee", "Coffee? COFFEE!", ["Coffee", "COFFEE"]),
        ("offe", "coffee", ["offe"]),
        ("hi", "hi, this is his", ["hi", "hi"]),
        ('"good night"', "Good  night. A goodnight; good nights", ["Good  night"]),
        ('"你 好"', "你好吗", ["你好"]),
        ('hi "hello 你好"', "hello你好hi", ["hello你好hi"]),
        ("日本", "私は日本人です", ["日本"]),
        ("tea team", "teammate", ["team"]),
        ("tea or coffee", "tea, coffee", ["tea", "coffee"]),
        ("-tea coffee", "tea coffee", ["coffee"]),
        ("a.c", "abc a.c", ["a.c"]),
        ("world", "👋🏽 world", ["world"]),
        ("absent", "nothing here", []),
    ],
)
def test_highlight(asked: str, content: str, found: list[str]) -> None:
    spans = Highlighter(alternatives(asked)).spans(content)
    assert [content[span.start : span.end] for span in spans] == found


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)).map(sorted).map(tuple)))
def test_merged_spans_cover_the_same(spans: list[tuple[int, int]]) -> None:
    joined = merged(spans)
    covered = {place for start, end in spans for place in range(start, end)}
    assert covered == {place for span in joined for place in range(span.start, span.end)}
    assert joined == sorted(joined, key=lambda span: span.start)
    assert all(first.end < second.start for first, second in pairwise(joined))
    assert all(span.start < span.end for span in joined)
