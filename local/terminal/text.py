"""What others wrote, made harmless for a terminal. Pure."""

from typing import Final

_CONTROLS: Final = {
    **{code: chr(0x2400 + code) for code in range(0x20)},  # ␀ to ␟
    ord("\n"): "\n",
    ord("\t"): "    ",
    0x7F: "␡",
    **dict.fromkeys(range(0x80, 0xA0), "\ufffd"),
    # Embeddings, overrides and isolates: they would turn around what stands beside them.
    **dict.fromkeys((*range(0x202A, 0x202F), *range(0x2066, 0x206A)), "\ufffd"),
    0x2028: "\n",
    0x2029: "\n",
}


def printable(text: str) -> str:
    """The text with its control characters shown in place of obeyed.

    A terminal takes an escape sequence from whoever wrote it: title, colours, clipboard, answers
    typed into the shell.
    """
    return text.replace("\r\n", "\n").translate(_CONTROLS)


def in_one_line(text: str) -> str:
    """The same, for where there is one line only."""
    return " ".join(printable(text).split())
