"""What was written by others and lies here is what its versions.json says."""

import hashlib
import json
from pathlib import Path

import pytest

FOLDERS = [Path("web/vendor"), Path("tests/browser/vendor")]


@pytest.mark.parametrize("folder", FOLDERS, ids=str)
def test_every_vendored_file_is_as_it_came(folder: Path) -> None:
    rows = json.loads((folder / "versions.json").read_text())
    listed = {row["file"]: row["sha256"] for row in rows}
    found = {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.glob("*.js")
    }
    assert found == listed
    for row in rows:
        assert row["package"]
        assert row["version"]
        assert row["licence"]
