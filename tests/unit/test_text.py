"""What may be a message: any text there is."""

import string

from hypothesis import given
from hypothesis import strategies as st

from libs.common.domain.text import MAX_CONTENT_CHARACTERS, InvalidContent, clean_content

SURROGATES = st.characters(categories=["Cs"])
SPACES = st.text(string.whitespace + "\u00a0\u2003\u3000", max_size=5)
ANY = st.text(st.characters() | SURROGATES | st.just("\0"))
GOOD = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=60
).filter(lambda text: text.strip() == text)


def verdict(text: str) -> str:
    """The cleaned text, or why there is none."""
    try:
        return "ok:" + clean_content(text)
    except InvalidContent as refused:
        return refused.reason


@given(ANY)
def test_it_is_refused_for_what_it_holds_or_only_trimmed(text: str) -> None:
    content = text.strip()
    if not content:
        assert verdict(text) == "CONTENT_EMPTY"
    elif "\0" in content or any("\ud800" <= character <= "\udfff" for character in content):
        assert verdict(text) == "CONTENT_NOT_STORABLE"
    else:
        assert verdict(text) == "ok:" + content
        assert content.encode().decode() == content


@given(GOOD)
def test_cleaning_twice_is_cleaning_once(text: str) -> None:
    assert clean_content(clean_content(text)) == clean_content(text) == text


@given(SPACES, GOOD, SPACES)
def test_only_what_is_around_goes(before: str, text: str, after: str) -> None:
    assert clean_content(before + text + after) == text


@given(SPACES)
def test_nothing_but_space_is_empty(text: str) -> None:
    assert verdict(text) == "CONTENT_EMPTY"


@given(st.sampled_from("xé漢😀"), st.integers(-2, 2), SPACES)
def test_characters_count_not_bytes_and_not_what_is_trimmed(
    character: str, more: int, around: str
) -> None:
    length = MAX_CONTENT_CHARACTERS + more
    text = around + character * length + around
    assert verdict(text) == ("CONTENT_TOO_LONG" if more > 0 else "ok:" + character * length)


@given(GOOD, st.one_of(SURROGATES, st.just("\0")), GOOD)
def test_one_bad_character_anywhere_is_refused(before: str, bad: str, after: str) -> None:
    assert verdict(before + bad + after) == "CONTENT_NOT_STORABLE"
