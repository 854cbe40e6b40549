"""What axe finds on a page: WCAG 2.2 AA and what is good practice besides."""

import json
from pathlib import Path
from typing import Final

from playwright.async_api import Page

_AXE: Final = (Path(__file__).parent / "vendor" / "axe.min.js").read_text()
_RULES: Final = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


async def violations(page: Page) -> list[str]:
    await page.evaluate(_AXE)
    found = await page.evaluate(
        "async (tags) => (await axe.run(document, { runOnly: tags })).violations", _RULES
    )
    return [json.dumps([row["id"], [node["html"] for node in row["nodes"]]]) for row in found]
