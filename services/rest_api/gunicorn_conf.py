"""Gunicorn: one worker process with threads, or CHAT_REST_WORKERS of them, for each instance.

The workers count in files of PROMETHEUS_MULTIPROC_DIR, of which /metrics makes one sum; a worker
that has ended stays counted, as a counter must not fall. The master listens at the admin port,
and any worker answers there.
`gunicorn -c services/rest_api/gunicorn_conf.py services.rest_api.wsgi:app`, from the root.
"""

import logging
import os
import shutil
import signal
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

from gunicorn import glogging  # type: ignore[import-untyped]

from libs.common import logs
from libs.common.config import load
from libs.common.listener import listen
from services.rest_api.settings import RestSettings

_settings = load(RestSettings)
logs.configure("rest_api", _settings.instance, _settings.log_level)

# Of this instance alone: no other has its admin port. Must be set before prometheus_client is
# imported, and no metric may be made in the master: it would count as one more worker.
_counts = Path(f"/dev/shm/chat-rest-{os.getuid()}-{_settings.admin_port}")  # noqa: S108
os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(_counts)


class _StructuredLogger(glogging.Logger):  # type: ignore[misc]
    """Gunicorn's own lines through our log; calls are logged by `access_log`."""

    def setup(self, cfg: object) -> None:
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True
        self.error_log.setLevel(logging.INFO)

    def warning(self, msg: str, *args: object, **kwargs: object) -> None:
        """Without the line of a request that could not be read: a token may stand in it."""
        if msg.startswith("Invalid request"):
            msg = msg.partition(": ")[0]
        super().warning(msg, *args, **kwargs)


bind = f"{_settings.listen_host}:{_settings.listen_port}"
workers = _settings.rest_workers
worker_class = "gthread"
threads = _settings.rest_threads
graceful_timeout = _settings.rest_drain_s
# The edge bounds it, and answers as this API does.
limit_request_line = 0
# Longer than the edge keeps an idle connection (nginx: 60 s), or it would meet closed ones.
keepalive = 75
# The heartbeat file in memory: a slow disk must not make a worker look dead.
worker_tmp_dir = "/dev/shm"  # noqa: S108
control_socket_disable = True
logger_class = _StructuredLogger


class _Worker(Protocol):
    pid: int


def on_starting(_server: object) -> None:
    """What the workers inherit. What an earlier run has counted is not theirs."""
    listen(_settings.listen_host, _settings.admin_port)  # first: it says that nobody counts there
    shutil.rmtree(_counts, ignore_errors=True)
    _counts.mkdir(mode=0o700)


def child_exit(_server: object, worker: _Worker) -> None:
    """What a worker that has ended was doing, it does no more."""
    from prometheus_client.multiprocess import mark_process_dead  # noqa: PLC0415

    mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]


def on_exit(_server: object) -> None:
    """The last call."""
    shutil.rmtree(_counts, ignore_errors=True)


def post_worker_init(worker: Any) -> None:  # noqa: ANN401 - gunicorn has no types
    """Opens what the worker holds; SIGTERM makes it unready at once, not after its last call."""
    # Imported here: the master must not hold what only a worker opens.
    from services.rest_api.wsgi import service  # noqa: PLC0415

    service.start()
    finish = worker.handle_exit

    def leave(number: int, frame: FrameType | None) -> None:
        service.leave()
        finish(number, frame)

    signal.signal(signal.SIGTERM, leave)


def worker_exit(_server: object, _worker: object) -> None:
    """Closes it, when its last call is answered or the drain has run out."""
    from services.rest_api.wsgi import service  # noqa: PLC0415

    service.stop()
