"""What may be a message: any text there is, in one form."""

import string
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.domain import text as rules
from libs.common.domain.text import (
    MAX_CONTENT_CHARACTERS,
    InvalidContent,
    clean_content,
    normalized,
)

SURROGATES = st.characters(categories=["Cs"])
CONTROLS = st.characters(categories=["Cc"], exclude_characters="\0\t\n")
SPACES = st.text(" \t\n\u00a0\u2003\u3000", max_size=5)
ANY = st.text(st.characters() | SURROGATES | CONTROLS | st.just("\0"))
GOOD = (
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=60)
    .map(lambda text: unicodedata.normalize("NFC", text))
    .filter(lambda text: text.strip() == text != "")
)
KEPT = {
    "right-to-left override": "\u202eabc",
    "isolates": "\u2066\u2067\u2068abc\u2069",
    "zero width joiner": "👩\u200d👩\u200d👧",
    "zero width non-joiner": "می\u200cخواهم",
    "zero width space": "a\u200bb",
    "byte order mark": "a\ufeffb",
    "tab and newlines": "a\tb\n\nc",
    "line separator": "a\u2028b",
    "not a character": "a\uffffb",
}
FORMS = {
    "composed": ("e\u0301", "é"),
    "composed, over a control": ("e\x07\u0301", "é"),
    "marks in order": ("q\u0307\u0323", "q\u0323\u0307"),
    "Hangul": ("\u1112\u1161\u11ab", "한"),
    "a look-alike that is the same": ("\u212b", "Å"),
    "compatible, but another": ("ﬁ ²", "ﬁ ²"),
    "longer": ("\u0958", "\u0915\u093c"),
    "terminal colours": ("a\x1b[31mred", "a[31mred"),
    "C1": ("a\x9b31mred\x85", "a31mred"),
    "Windows lines": ("a\r\nb\r\n", "a\nb"),
    "backspaces": ("good\x08\x08\x08\x08evil", "goodevil"),
    "DEL": ("a\x7f", "a"),
    "only controls": ("\x01", ""),
    "many marks": ("q" + "\u0301" * 15 + "\u0316" * 15, "q" + "\u0316" * 15 + "\u0301" * 15),
}


TOWERS = {
    "in order": "\u0301" * 31,
    "out of order": "\u0301" * 16 + "\u0316" * 15,
    "with controls between": "\u0301\x07" * 31,
    "doubled by NFC": "\u0344" * 16,
    "decomposed into marks": "\u0f73" * 16,
    "behind a letter that has some": "\ufb2c" + "\u0301" * 29,
    "behind a plane": "\U0001e94a" * 31,
}


def verdict(text: str) -> str:
    """The cleaned text, or why there is none."""
    try:
        return "ok:" + clean_content(text)
    except InvalidContent as refused:
        return refused.reason


@given(ANY)
def test_it_is_refused_for_what_it_holds_or_kept_in_its_form(text: str) -> None:
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        assert verdict(text) == "CONTENT_NOT_STORABLE"
        return
    seen = [one for one in text if one in "\t\n" or unicodedata.category(one) != "Cc"]
    content = unicodedata.normalize("NFC", "".join(seen)).strip()
    assert verdict(text) == (f"ok:{content}" if content else "CONTENT_EMPTY")


@given(ANY)
def test_cleaning_twice_is_cleaning_once(text: str) -> None:
    once = verdict(text)
    if once.startswith("ok:"):
        assert verdict(once.removeprefix("ok:")) == once


@given(SPACES, GOOD, SPACES)
def test_what_is_around_goes(before: str, text: str, after: str) -> None:
    assert clean_content(before + text + after) == text


@given(SPACES, st.text(CONTROLS, max_size=3))
def test_nothing_to_see_is_empty(space: str, controls: str) -> None:
    assert verdict(space + controls + space) == "CONTENT_EMPTY"


@pytest.mark.parametrize("kept", KEPT)
def test_what_languages_need_stays(kept: str) -> None:
    assert clean_content(KEPT[kept]) == KEPT[kept]


@pytest.mark.parametrize("form", FORMS)
def test_one_form(form: str) -> None:
    text, wanted = FORMS[form]
    assert normalized(text).strip() == wanted


@given(st.text(string.printable), st.sampled_from(["é", "\x1b", "e\u0301"]))
def test_the_short_way_gives_the_same(text: str, odd: str) -> None:
    """ASCII that can be printed has its form already."""
    assert normalized(text + odd) == unicodedata.normalize(
        "NFC", normalized(text) + normalized(odd)
    )


@given(st.sampled_from("xé漢😀"), st.integers(-2, 2), SPACES)
def test_characters_count_not_bytes_and_not_what_is_trimmed(
    character: str, more: int, around: str
) -> None:
    length = MAX_CONTENT_CHARACTERS + more
    text = around + character * length + around
    assert verdict(text) == ("CONTENT_TOO_LONG" if more > 0 else "ok:" + character * length)


def test_characters_count_in_what_is_kept() -> None:
    assert verdict("e\u0301" * MAX_CONTENT_CHARACTERS) == "ok:" + "é" * MAX_CONTENT_CHARACTERS
    assert verdict("\u0958" * MAX_CONTENT_CHARACTERS) == "CONTENT_TOO_LONG"
    assert verdict("x" * MAX_CONTENT_CHARACTERS + "\x07" * 9).startswith("ok:")


@given(GOOD, st.one_of(SURROGATES, st.just("\0")), GOOD)
def test_one_bad_character_anywhere_is_refused(before: str, bad: str, after: str) -> None:
    assert verdict(before + bad + after) == "CONTENT_NOT_STORABLE"


@pytest.mark.parametrize("tower", TOWERS)
@pytest.mark.parametrize("before", [0, 1, 29, 30, 31, 62])
def test_more_marks_in_a_row_than_any_language_needs_are_refused(tower: str, before: int) -> None:
    assert verdict("x" * before + TOWERS[tower] + "x") == "CONTENT_NOT_STORABLE"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("\u0301" * 8_000 + "\u0316" * 8_000, "CONTENT_NOT_STORABLE"),
        ("\u0f73" * 16_000, "CONTENT_NOT_STORABLE"),
        ("\u0301\x07" * 8_000, "CONTENT_NOT_STORABLE"),
        ("\u0301" * 16_000 + "\u0316" * 16_000, "CONTENT_TOO_LONG"),
    ],
)
def test_what_takes_long_to_normalize_is_refused_before(
    monkeypatch: pytest.MonkeyPatch, text: str, reason: str
) -> None:
    monkeypatch.setattr(rules, "unicodedata", None)
    assert verdict(text) == reason


def test_what_counts_as_a_mark_is_so_in_all_of_unicode() -> None:
    for one in map(chr, range(sys.maxunicode + 1)):
        is_mark = unicodedata.combining(unicodedata.normalize("NFD", one)[0]) != 0
        assert is_mark == (one in rules._MARKS), f"{ord(one):x}"


def test_nothing_is_counted_too_long_before_it_is_normalized_that_is_not_after() -> None:
    assert max(len(unicodedata.normalize("NFD", one)) for one in map(chr, range(0x110000))) == 4
    most = "\u03b1\u0313\u0300\u0345" * MAX_CONTENT_CHARACTERS
    assert verdict(f" {most} ") == "ok:" + "\u1f82" * MAX_CONTENT_CHARACTERS
