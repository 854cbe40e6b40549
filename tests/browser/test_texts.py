"""Whatever people write is text, and stays in its place."""

from unicodedata import normalize
from uuid import UUID

import pytest
from playwright.async_api import expect

from tests.browser.conftest import Screens, Visit

Pair = tuple[UUID, UUID, UUID]

XSS = (
    "<script>window.broken = 1</script>",
    '<img src=x onerror="window.broken = 1">',
    '"><svg onload="window.broken = 1">',
    "javascript:window.broken=1",
    "${window.broken = 1} {{broken}} <!-- ' \" & &lt;",
    '<a href="javascript:window.broken=1">click</a>',
)
OTHERS = (
    "مرحبا يا بن، كيف حالك؟",
    "שלום Ben 123",
    "\u202eexe.gnp yltneconni",  # right-to-left override
    "\u2066\u2067\u2068 isolates that never end",
    "👩‍👩‍👧‍👦 🏳️‍🌈 🇩🇪 👋🏽",
    "你好，世界 こんにちは สวัสดี",
    "Z̸̢̨̛̲̙͔͕͖̣̗̪̩̥͉̹̬̎̀̍̓͐̈́̊ă̵̧l̷̡g̶̨o̴̢",
    "two\nlines\n\n  and  spaces",
    "W" * 500,
    "äöü 🦊 " * 571 + "xyz",
)


@pytest.mark.parametrize("texts", [XSS, OTHERS], ids=["markup", "scripts"])
async def test_texts_are_shown_as_they_are(screens: Screens, texts: tuple[str, ...]) -> None:
    anna, ben = screens
    for text in texts:
        await anna.write(text)
    for screen in (anna, ben):
        await expect(screen.pane.locator(".message:not(.waiting)")).to_have_count(len(texts))
        shown = [normalize("NFC", text) for text in await screen.texts()]
        assert shown == [normalize("NFC", text) for text in texts]
        assert not await screen.page.evaluate("'broken' in window")
        assert await screen.page.evaluate(_OVERFLOWING) == []
        assert await screen.pane.locator(".bubble p > *").count() == 0


_OVERFLOWING = """() => [...document.querySelectorAll(".bubble")]
    .filter((bubble) => {
        const box = bubble.getBoundingClientRect();
        const around = bubble.closest(".scroll").getBoundingClientRect();
        return box.left < around.left || box.right > around.right
            || bubble.scrollWidth > bubble.clientWidth;
    })
    .map((bubble) => bubble.textContent)"""


async def test_no_text_turns_what_stands_around_it(screens: Screens) -> None:
    """An override in a message leaves the time where it is, also in the list and in a search."""
    anna, ben = screens
    await anna.write("plain text needle")
    await anna.write("\u202e\u2067turned needle")
    await anna.sees("turned", "READ")
    await ben.button("Search").click()
    await ben.pane.get_by_role("searchbox").fill("needle")
    await expect(ben.pane.locator(".hit")).to_have_count(2)
    for place in (".bubble p", ".hit .text"):
        boxes = [await each.bounding_box() for each in await ben.pane.locator(place).all()]
        assert len(boxes) == 2
    for place in (".hit time", ".hit .name"):
        lefts = [await each.bounding_box() for each in await ben.pane.locator(place).all()]
        plain, turned = (box["x"] for box in lefts if box)
        assert abs(plain - turned) < 1, place
    directions = await ben.page.evaluate(
        """() => [...document.querySelectorAll(".bubble p, .hit .text, .preview bdi")]
            .map((each) => getComputedStyle(each).unicodeBidi)"""
    )
    assert set(directions) <= {"isolate", "plaintext"}


async def test_no_text_disguises_anothers(screens: Screens) -> None:
    """Overrides that never end: what the other has written stays in its order, and so do frames."""
    anna, ben = screens
    await anna.write("\u202e\u2067\u2066no end")
    await anna.write("\u200b\u202dalso none")
    await ben.write("as I wrote it")
    await ben.sees("as I wrote it", "READ")
    for screen in (anna, ben):
        lefts = await screen.page.evaluate(_LEFTS, "as I wrote it")
        assert len(lefts) == 13
        assert lefts == sorted(lefts)
        await screen.pane.locator(".drawer summary").click()
        frames = await screen.pane.locator(".frames").inner_text()
        assert "\\u202e" in frames
        assert "\u202e" not in frames


_LEFTS = """(text) => {
    const [shown] = [...document.querySelectorAll(".bubble p")]
        .filter((each) => each.textContent === text);
    const node = document.createTreeWalker(shown, NodeFilter.SHOW_TEXT).nextNode();
    return [...text].map((_, at) => {
        const range = document.createRange();
        range.setStart(node, at);
        range.setEnd(node, at + 1);
        return range.getBoundingClientRect().left;
    });
}"""


async def test_5000_characters_are_not_sent(visit: Visit, pair: Pair) -> None:
    anna = await visit(f"/?user={pair[0]}")
    await anna.is_ready()
    await anna.composer.fill("x" * 4001)
    await expect(anna.pane.locator(".left")).to_have_text("-1 characters left")
    await expect(anna.button("Send").first).to_be_disabled()
    await anna.composer.press("Enter")
    await expect(anna.messages).to_have_count(0)
