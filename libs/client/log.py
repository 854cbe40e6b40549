"""What one client has of one conversation's log: numbers only, nothing of what they say. Pure."""


class Log:
    """`known` is the number up to which nothing is missing (promise 6).

    Numbers beyond a gap are remembered.
    """

    def __init__(self, known: int = 0) -> None:
        """`known` is the `head` that came with what was loaded by REST; 0 for nothing."""
        self.known = known
        self._beyond: set[int] = set()

    def add(self, seq: int) -> None:
        """An entry came."""
        if seq > self.known:
            self._beyond.add(seq)
        self._close()

    def reach(self, seq: int) -> None:
        """All up to here is there: the answer to a SYNC, or to a call of REST, said so."""
        self.known = max(self.known, seq)
        self._beyond = {later for later in self._beyond if later > self.known}
        self._close()

    @property
    def has_gap(self) -> bool:
        """Whether something is missing before the newest entry that came."""
        return bool(self._beyond)

    def _close(self) -> None:
        while self.known + 1 in self._beyond:
            self.known += 1
            self._beyond.remove(self.known)
