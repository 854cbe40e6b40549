"""What `make sbom` writes is what the locks say, and valid."""

import json
import re
import subprocess
from typing import Any

import pytest

from local import sbom
from local.layout import ROOT

PINNED = re.compile(r"^([\w.-]+)==([^ ;]+)", re.MULTILINE)
VALIDATE = """
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
sys.exit(JsonStrictValidator(SchemaVersion.V1_6).validate_str(sys.stdin.read()))
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    paths = sbom.written(tmp_path_factory.mktemp("sbom"))
    return {path.name.partition(".")[0]: json.loads(path.read_text()) for path in paths}


def test_every_lock_of_an_image_has_one() -> None:
    copied = re.findall(r"COPY requirements/(\w+)\.lock", (ROOT / "Dockerfile").read_text())
    assert sorted(copied) == sorted(sbom.LOCKS)


@pytest.mark.parametrize("lock", sbom.LOCKS)
def test_each_package_of_a_lock_is_there_with_its_hashes(
    files: dict[str, dict[str, Any]], lock: str
) -> None:
    text = (ROOT / "requirements" / f"{lock}.lock").read_text()
    components = files[lock]["components"]
    assert {(one["name"], one["version"]) for one in components} == set(PINNED.findall(text))
    for one in components:
        hashes = [
            hashed["content"]
            for reference in one["externalReferences"]
            for hashed in reference.get("hashes", ())
        ]
        assert hashes, one["name"]
        assert all(f"sha256:{hashed}" in text for hashed in hashes)


def test_the_web_chat_s_files_are_there(files: dict[str, dict[str, Any]]) -> None:
    names = {one["bom-ref"] for one in files["web"]["components"]}
    assert names == {path.name for path in (ROOT / "web" / "vendor").glob("*.js")}


def test_the_one_of_the_web_chat_is_valid(files: dict[str, dict[str, Any]]) -> None:
    """The others cyclonedx-py has checked itself."""
    python = sbom.PROGRAM.with_name("python")
    subprocess.run([python, "-c", VALIDATE], input=json.dumps(files["web"]), text=True, check=True)
