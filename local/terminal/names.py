"""Names for users, who are only ids to the service: those of the web chat. Pure."""

from typing import Final
from uuid import UUID

_LIST: Final = (
    "Ada Alan Amir Anna Ben Bea Chloe Clara Dana David Elif Emil Emma Eva Felix Finn Frida Hana "
    "Hugo Ida Ines Iris Jakob Jana Jonas Juna Kai Kim Lea Leo Lina Luca Maja Mara Marco Mia Milan "
    "Mina Nils Nina Noah Nora Olga Omar Oskar Paul Pia Rosa Ruth Sam Sara Selma Sofia Theo Tom "
    "Vera Yara Yuki Zoe"
)
NAMES: Final = tuple(_LIST.split())


def name_of(user_id: UUID) -> str:
    """By the id alone (FNV-1a), so that nobody takes another's by what they write."""
    number = 2166136261
    for character in str(user_id):
        number = (number ^ ord(character)) * 16777619 & 0xFFFFFFFF
    return NAMES[number % len(NAMES)]
