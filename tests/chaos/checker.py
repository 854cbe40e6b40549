"""Placeholder."""
from tests.chaos.evidence import Evidence, Violation
def check(evidence: Evidence) -> list[Violation]:
    return []
