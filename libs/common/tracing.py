"""Whether this process traces: off unless CHAT_OTLP_ENDPOINT says where to.

Off, nothing of ours imports OpenTelemetry, and each batch pays for one look at `spans`.
"""

import sys
from typing import TYPE_CHECKING

from libs.common.config import RoleSettings

if TYPE_CHECKING:
    from libs.common.spans import Spans

spans: "Spans | None" = None
"""This process's."""


def start(role: str, settings: RoleSettings) -> None:
    """Once, before anything else; ends the process with 78 where the extra `tracing` is missing."""
    global spans  # noqa: PLW0603 - like the registry of metrics, there is one
    if settings.otlp_endpoint is None:
        return
    try:
        from libs.common.spans import Spans  # noqa: PLC0415 - only where it is wanted
    except ImportError as error:
        sys.stderr.write(
            f"CHAT_OTLP_ENDPOINT is set, but {error.name} is not installed: "
            "install the extra `tracing` beside the role's own, or unset it.\n"
        )
        raise SystemExit(78) from None
    spans = Spans(
        role,
        settings.instance,
        endpoint=settings.otlp_endpoint,
        sampling=settings.trace_sampling,
    )


def stop() -> None:
    """Sends what waits; some seconds at most. From now on nothing is traced."""
    global spans  # noqa: PLW0603
    if spans is not None:
        spans.close()
        spans = None
