"""What locust's table of failures shows."""


class Failure(Exception):
    """Its text names the failure: an ERROR's or a problem's constant, a close code, an exception.

    Locust tells failures apart by their repr, so that is the text alone.
    """

    def __repr__(self) -> str:
        return str(self)
