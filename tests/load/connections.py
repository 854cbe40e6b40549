"""How many WebSockets are open, over all of locust's processes: it counts users, not these."""

import json
import logging
from typing import Any, Final

from flask import Response, request
from locust.env import Environment
from locust.runners import MasterRunner, WorkerRunner

KEY: Final = "open_connections"
TITLE: Final = "Open connections"

log = logging.getLogger(__name__)


class OpenConnections:
    """Workers report theirs to the master every few seconds, with their statistics."""

    def __init__(self, environment: Environment) -> None:
        self.most = 0
        self._here = 0
        self._of_workers: dict[str, int] = {}
        self._is_worker = isinstance(environment.runner, WorkerRunner)
        events = environment.events
        events.test_start.add_listener(self._start)
        events.test_stopping.add_listener(self._say)
        if self._is_worker:
            events.report_to_master.add_listener(self._report)
        if isinstance(environment.runner, MasterRunner):
            events.worker_report.add_listener(self._add_up)
        if environment.web_ui and environment.web_ui.app:
            shown = [{"title": TITLE, "key": KEY}]
            columns = [{"key": name, "title": name} for name in ("now", "most")]
            environment.web_ui.template_args |= {
                "extended_tabs": shown,
                "extended_tables": [{"key": KEY, "structure": columns}],
            }
            environment.web_ui.app.after_request(self._show)

    @property
    def now(self) -> int:
        return self._here + sum(self._of_workers.values())

    def opened(self) -> None:
        self._here += 1
        self.most = max(self.most, self.now)

    def closed(self) -> None:
        self._here -= 1

    def _start(self, **_: object) -> None:
        self.most = self.now

    def _report(self, client_id: str, data: dict[str, Any]) -> None:
        data[KEY] = self._here

    def _add_up(self, client_id: str, data: dict[str, Any]) -> None:
        self._of_workers[client_id] = data.get(KEY, 0)
        self.most = max(self.most, self.now)

    def _say(self, **_: object) -> None:
        if not self._is_worker:
            log.info("%s: %d, at most %d", TITLE, self.now, self.most)

    def _show(self, response: Response) -> Response:
        """In the answer that the web page asks for every two seconds."""
        if request.path == "/stats/requests":
            table = {"key": KEY, "data": [{"now": self.now, "most": self.most}]}
            answer = json.loads(response.get_data()) | {"extended_stats": [table]}
            response.set_data(json.dumps(answer))
        return response
