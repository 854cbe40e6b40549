"""The one error that a person is meant to read."""


class StackError(Exception):
    """Something about the stack went wrong; its text says what, and what to do about it."""
