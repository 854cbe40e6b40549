"""`make fuzz MINUTES=10`: every decoder under atheris, then a whole system, generated input."""

import argparse
import asyncio
import sys
import sysconfig
from pathlib import Path

from local.layout import ROOT
from tests.fuzz.coverage_guided import Result, run_all
from tests.fuzz.live import run_live

FOLDER = ROOT / ".run" / "fuzz-found"
"""What libFuzzer has learnt, for the next time, and the bytes that something fell over."""


def main() -> None:
    """Exits with 1 when something fell over."""
    arguments = _arguments()
    seconds = arguments.minutes * 60
    print(f"every decoder, {seconds / 2:.0f} s")
    results = asyncio.run(run_all(seconds / 2, FOLDER, _packages()))
    print(f"a whole system, {seconds / 2:.0f} s")
    live = asyncio.run(run_live(seconds / 2))
    _summarize(results, live)
    sys.exit(any(result.trouble for result in results))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    return parser.parse_args()


def _packages() -> Path:
    """Where local/bootstrap --fuzz has put atheris, for this Python."""
    name = Path(sysconfig.get_path("purelib")).relative_to(sys.prefix)
    return ROOT / ".venv-fuzz" / name


def _summarize(results: list[Result], live: dict[str, int]) -> None:
    print("\ntarget                       runs")
    for result in results:
        print(f"{result.name:20} {result.runs:>12,}{'  FAILED' if result.trouble else ''}")
    for name, count in sorted(live.items()):
        print(f"{'live ' + name:20} {count:>12,}")
    for result in results:
        if result.trouble:
            print(f"\n--- {result.name}: its bytes are in {FOLDER.relative_to(ROOT)}/")
            print(result.trouble)


if __name__ == "__main__":
    main()
