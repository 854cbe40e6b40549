"""A process whose clock is off: by how much, from when on, and what stays right."""

import os
import subprocess
import sys
from pathlib import Path
from time import time

from local.roles import ROUTER, Counts
from tests.chaos.clocks import LOOKS_EVERY_S, open_clocks

# Asked by a line, answers with its clocks; and sleeps for 10 ms, as gunicorn's master does.
SHOW = """
import sys, time
for _ in sys.stdin:
    began = time.monotonic()
    time.sleep(0.01)
    slept = time.monotonic() - began
    print(time.time(), time.monotonic(), slept, flush=True)
"""


def test_only_the_wall_clock_is_off_and_only_where_it_was_set(tmp_path: Path) -> None:
    with open_clocks(tmp_path / "clocks", Counts(router=2)) as clocks:
        assert clocks.variables(ROUTER, "router-1") == {}
        environment = os.environ | clocks.variables(ROUTER, "router-2")
        process = subprocess.Popen(
            [sys.executable, "-c", SHOW],
            env=environment,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

        def clocks_of_the_process() -> list[float]:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write("\n")
            process.stdin.flush()
            return [float(text) for text in process.stdout.readline().split()]

        try:
            for offset_s in (0, 600, -600, 0):
                clocks.set("router-2", offset_s)
                before = clocks_of_the_process()[1]
                looked_again = time() + LOOKS_EVERY_S + 0.5
                while time() < looked_again:
                    wall, monotonic, slept = clocks_of_the_process()
                assert abs(wall - time() - offset_s) < 1
                assert LOOKS_EVERY_S < monotonic - before < LOOKS_EVERY_S + 5
                assert 0.01 <= slept < 1
        finally:
            process.kill()
            process.communicate()
    left = [
        file.name for file in Path("/dev/shm").iterdir() if file.name.endswith(f"_{process.pid}")
    ]
    assert left == [], "libfaketime's, of a process that was killed"
