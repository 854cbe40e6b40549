"""`make sbom`: what each image and the web chat are made of, as CycloneDX 1.6, in .run/sbom.

Python packages by name, version and hash as the role's lock has them, and the files in web/vendor.
What the base images hold is theirs to tell: docs/security.md.
"""

import json
import os
import subprocess
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from local.layout import ROOT

LOCKS: Final = ("ws_gateway", "router", "persister", "rest_api", "migrations", "privacy")
FOLDER: Final = ROOT / ".run" / "sbom"
PROGRAM: Final = ROOT / ".venv-supply" / "bin" / "cyclonedx-py"


def main() -> None:
    """Write them all and say where. Raises CalledProcessError for a lock that can't be read."""
    for path in written(FOLDER):
        components = json.loads(path.read_text())["components"]
        print(f"{path.relative_to(ROOT)}  {len(components)} packages")


def written(folder: Path) -> list[Path]:
    """The files, one for each lock and one for the web chat."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for lock in LOCKS:
        files.append(folder / f"{lock}.cdx.json")
        subprocess.run(
            [
                *(PROGRAM, "requirements", "--pyproject", ROOT / "pyproject.toml"),
                *("--spec-version", "1.6", "--output-reproducible", "--short-PURLs"),
                *("--output-file", files[-1], ROOT / "requirements" / f"{lock}.lock"),
            ],
            check=True,
            # That a lock says nothing of who needs whom.
            env=os.environ | {"PYTHONWARNINGS": "ignore"},
        )
    files.append(folder / "web.cdx.json")
    files[-1].write_text(json.dumps(_of_the_web_chat(), indent=2) + "\n")
    return files


def _of_the_web_chat() -> dict[str, Any]:
    vendored = json.loads((ROOT / "web" / "vendor" / "versions.json").read_text())
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "components": [
            {
                "type": "library",
                "bom-ref": one["file"],
                "name": one["package"],
                "version": one["version"],
                "purl": f"pkg:npm/{quote(one['package'])}@{one['version']}#{one['source']}",
                "hashes": [{"alg": "SHA-256", "content": one["sha256"]}],
                "licenses": [{"license": {"id": one["licence"]}}],
            }
            for one in vendored
        ],
    }


if __name__ == "__main__":
    main()
