"""Whether all promises were kept, by what a campaign has left behind. Pure.

As Jepsen's checkers: nobody asks the system how it works, only what it said, to whom and when,
and what is stored in the end. A rule says in its docstring which promise of DESIGN.md, section 3,
it holds, and what it can't decide; where it can't, it is silent.
"""

from typing import Final

from tests.chaos import (
    checking_end,
    checking_log,
    checking_reads,
    checking_receipts,
    checking_sends,
)
from tests.chaos.evidence import Evidence, Violation
from tests.chaos.indexed import Indexed

RULES: Final = (
    *checking_sends.RULES,
    *checking_log.RULES,
    *checking_receipts.RULES,
    *checking_end.RULES,
)
"""Those of `checking_reads` besides."""


def check(evidence: Evidence) -> list[Violation]:
    """All that was violated; the name of a violation's rule is that of its function."""
    indexed = Indexed(evidence)
    found = [
        Violation(rule.__name__, conversation, detail)
        for rule in RULES
        for conversation, detail in rule(indexed)
    ]
    return found + list(checking_reads.violations(indexed))
