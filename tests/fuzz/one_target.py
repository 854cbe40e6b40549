"""One target under atheris, in a process of its own: `python -m tests.fuzz.one_target NAME …`.

What follows the name is libFuzzer's. An exception ends it; the bytes are then in an artifact.
`NAME:typed` is the target of that name with messages made from the types.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import atheris  # type: ignore[import-not-found, import-untyped, unused-ignore]

with atheris.instrument_imports(include=["services", "libs", "json", "jwt"]):
    from tests.fuzz.targets import TARGETS
    from tests.fuzz.typed import TYPED


def main() -> None:
    name, *arguments = sys.argv[1:]
    atheris.Setup([str(Path(__file__)), *arguments], _target(name))
    atheris.Fuzz()


def _target(name: str) -> Callable[[bytes], object]:
    if name.endswith(":typed"):
        test = TYPED[name.removesuffix(":typed")]
        fuzz_one: Callable[[bytes], object] = test.hypothesis.fuzz_one_input
        return fuzz_one
    return TARGETS[name]


if __name__ == "__main__":
    main()
