"""WebSocket close codes (DESIGN.md, section 4): each says whether to come back, and when."""

from enum import IntEnum


class Close(IntEnum):
    """4400 and 4401 are final until the cause is mended; the rest invite a jittered retry."""

    DONE = 1000
    GONE = 1001
    TOO_BIG = 1009
    RESTARTING = 1012
    NOT_THE_PROTOCOL = 4400
    TOKEN = 4401
    TOO_SLOW = 4408
    TOO_MANY = 4429
    ON_US = 4500
