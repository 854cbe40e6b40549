"""What a user sees of a page, and does."""

from uuid import UUID

from playwright.async_api import Locator, Page, expect

PATIENCE_MS = 20_000
expect.set_options(timeout=PATIENCE_MS)


class Screen:
    """One page, or one pane of it."""

    def __init__(self, page: Page, pane: Locator | None = None) -> None:
        self.page = page
        self.pane = pane or page.locator(".pane").first
        self.messages = self.pane.locator(".message")
        self.bubbles = self.pane.locator(".message .bubble p")
        self.composer = self.pane.get_by_role("textbox", name="Message to")
        self.banner = self.pane.locator(".banner")
        self.notice = self.pane.locator(".notice")
        self.badge = self.pane.locator(".badge")
        self.scroll = self.pane.locator(".scroll")

    def of(self, user_id: UUID) -> "Screen":
        """The pane of one of several users."""
        return Screen(self.page, self.page.locator(f'.pane[data-user="{user_id}"]'))

    async def users(self) -> list[UUID]:
        """Of the page with two panes."""
        await self.page.wait_for_url("**/?users=*")
        return [UUID(each) for each in self.page.url.rpartition("=")[2].split(",")]

    def button(self, name: str) -> Locator:
        return self.pane.get_by_role("button", name=name)

    def message(self, text: str) -> Locator:
        return self.messages.filter(has_text=text).last

    async def open(self, conversation: int = 0) -> None:
        """A conversation of the list, by its place."""
        await self.pane.locator(".row").nth(conversation).click()
        await expect(self.composer).to_be_visible()

    async def is_ready(self) -> None:
        """Its conversation is open and loaded, and the connection stands."""
        await expect(self.composer).to_be_visible()
        await expect(self.banner).to_be_hidden()
        await expect(self.scroll.locator(".note, .message").first).to_be_visible()

    async def write(self, text: str) -> None:
        await self.composer.fill(text)
        await self.composer.press("Enter")

    async def texts(self) -> list[str]:
        return await self.bubbles.all_text_contents()

    async def sees(self, text: str, status: str | None = None) -> None:
        """A message, and how far it has come."""
        message = self.message(text)
        await expect(message).to_be_visible()
        if status:
            await expect(message.locator(".tick")).to_have_attribute("data-status", status)
