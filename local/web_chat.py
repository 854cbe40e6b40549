"""The web chat, as the edge serves it: files of web/ and what they may do."""

import hashlib
import re
from base64 import b64encode
from pathlib import Path
from typing import Final

TEMPLATE: Final = Path(__file__).with_name("web.conf")

# Nothing but its own files and this edge; no inline script but the map of modules, and no text that
# becomes markup.
POLICY: Final = (
    "default-src 'none'; script-src 'self' 'sha256-{importmap}'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
_IMPORTMAP: Final = re.compile(r'<script type="importmap">(.*?)</script>', re.DOTALL)


def locations(folder: Path, development: int | None) -> str:
    """Of nginx.conf; `development` is local.development's port, None where it does not run."""
    target = "return 404;" if development is None else f"proxy_pass http://127.0.0.1:{development};"
    values = {
        "development": target,
        "web": str(folder),
        "policy": policy((folder / "index.html").read_text()),
    }
    text = TEMPLATE.read_text().rstrip()
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    return text


def policy(page: str) -> str:
    """The Content-Security-Policy where index.html is `page`."""
    (importmap,) = _IMPORTMAP.findall(page)
    digest = hashlib.sha256(importmap.encode()).digest()
    return POLICY.format(importmap=b64encode(digest).decode())
