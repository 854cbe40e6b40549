"""Gunicorn: one worker process with threads for each instance; more come by more instances.

One worker, because its admin port, metrics and connections are the instance's own.
`gunicorn -c services/rest_api/gunicorn_conf.py services.rest_api.wsgi:app`, from the root.
"""

import logging
import signal
from types import FrameType
from typing import Any

from gunicorn import glogging  # type: ignore[import-untyped]

from libs.common import logs
from libs.common.config import load
from services.rest_api.settings import RestSettings

_settings = load(RestSettings)
logs.configure("rest_api", _settings.instance, _settings.log_level)


class _StructuredLogger(glogging.Logger):  # type: ignore[misc]
    """Gunicorn's own lines through our log; calls are logged by `access_log`."""

    def setup(self, cfg: object) -> None:
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True
        self.error_log.setLevel(logging.INFO)


bind = f"{_settings.listen_host}:{_settings.listen_port}"
workers = 1
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
