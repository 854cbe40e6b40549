"""Imported first of all by a Python that runs with libfaketime: lets it sleep.

Python sleeps by `clock_nanosleep` until a moment of the monotonic clock. libfaketime 0.9.10 takes
the wall clock's offset from that moment also when told to leave the monotonic clock alone, and
so gets EINVAL. gunicorn's master would not survive its first worker.
"""

import select
import time
from typing import SupportsIndex


def sleep(seconds: "float | SupportsIndex", /) -> None:
    select.select((), (), (), float(seconds))


time.sleep = sleep
