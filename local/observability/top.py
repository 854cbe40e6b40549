"""`make top`: what every process says of itself, every two seconds, in the terminal."""

import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Final

from rich.console import Console
from rich.live import Live

from local.failure import StackError
from local.observability.looks import Look, Series, Span, parsed
from local.observability.prometheus import FAMILIES
from local.observability.screen import screen
from local.stack import Stack

EVERY_S: Final = 2.0
WITHIN_S: Final = 1.0
"""What a process has to answer; else it is left out of this look."""


def top(stack: Stack, *, once: bool) -> None:
    """Until Ctrl-C or the stack's end; `once`: one picture, on standard output."""
    if not stack.is_up():
        raise StackError("It is not running; make run starts it.")
    console = Console()
    spans = (Span(*two) for two in pairwise(_looks(stack)))
    pictures = (screen(span, _title(stack), console.width) for span in spans)
    if once:
        console.print(next(pictures))
        return
    try:
        with Live(console=console, screen=True, auto_refresh=False) as live:
            for picture in pictures:
                live.update(picture, refresh=True)
    except KeyboardInterrupt:
        pass


def _title(stack: Stack) -> str:
    edge = f"http://localhost:{stack.environment()['CHAT_PORT']}/api/chat"
    return (
        f"[bold]{stack.layout.stack}[/]  {edge}  {time.strftime('%H:%M:%S')}  "
        f"times are p50 and p95 of the last {EVERY_S:.0f} s"
    )


def _looks(stack: Stack) -> Iterator[Look]:
    queues = stack.rabbitmq_metrics()
    with ThreadPoolExecutor() as threads:
        while stack.is_up():
            began = time.monotonic()
            pages = {name: f"{port}/metrics" for name, port in stack.admin_ports().items()}
            if queues is not None:
                families = "&".join(f"family={family}" for family in FAMILIES)
                pages["rabbitmq"] = f"{queues}/metrics/detailed?{families}"
            found = zip(pages, threads.map(_page, pages.values()), strict=True)
            yield Look(began, {name: series for name, series in found if series is not None})
            time.sleep(max(0.0, began + EVERY_S - time.monotonic()))


def _page(address: str) -> Series | None:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{address}", timeout=WITHIN_S) as answer:
            return parsed(answer.read().decode())
    except (OSError, urllib.error.URLError):
        return None
