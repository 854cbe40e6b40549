"""The fault campaign's short form: some faults, chosen by a seed that changes every hour.

`CHAOS_SEED=N make test ARGS=tests/integration/test_chaos.py` repeats one.
"""

import os
import time
from random import Random

import pytest

from tests.chaos.__main__ import all_faults, campaign

FAULTS = 6


@pytest.mark.timeout(300)
async def test_some_faults_lose_nothing_and_end() -> None:
    seed = int(os.environ.get("CHAOS_SEED") or time.time() // 3600)
    print(f"CHAOS_SEED={seed}")
    chosen = Random(seed).sample(all_faults(is_short=True), FAULTS)
    assert await campaign(chosen, seed, minutes=0), "what was violated is printed above"
