"""`make observe`: a Prometheus of the stack's own, with the alert rules, on loopback."""

import json
import shutil
import subprocess
import time
from typing import Any, Final

from local import readiness
from local.failure import StackError
from local.observability.consoles import pages
from local.observability.rules import plain
from local.ports import choose_ports
from local.roles import role_of
from local.stack import Stack

START_S: Final = 20.0
KEPT: Final = "2d"
PREFERRED_PORT: Final = 9091
NAMESPACE: Final = "chat"
"""Whose rules these are; a label of every target, as a PodMonitor's targets have it."""
FAMILIES: Final = ("queue_coarse_metrics", "queue_consumer_count")
"""Of RabbitMQ's detailed metrics; podmonitors.yaml asks for the same."""


class Prometheus:
    """One process, from `start` to `stop`; its data is kept in the stack's folder."""

    def __init__(self, stack: Stack, interval_s: int = 5) -> None:
        """`interval_s`: between two scrapes."""
        self._stack = stack
        self._interval_s = interval_s
        self._folder = stack.layout.folder / "prometheus"
        self._log = stack.layout.log("prometheus")
        self._process: subprocess.Popen[bytes] | None = None
        self._targets = ""
        self.url = ""
        """Where it answers, once it was started."""

    def start(self) -> None:
        """Returns when it answers. Raises StackError."""
        program = shutil.which("prometheus")
        if program is None:
            raise StackError("prometheus is not installed; local/bootstrap --observe installs it.")
        self._folder.mkdir(exist_ok=True)
        (self._folder / "rules.yaml").write_text(plain())
        (self._folder / "prometheus.json").write_text(json.dumps(self._config(), indent=2))
        consoles = self._folder / "consoles"
        consoles.mkdir(exist_ok=True)
        for name, page in pages().items():
            (consoles / name).write_text(page)
        self.follow()
        port = self._port()
        self.url = f"http://127.0.0.1:{port}"
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [
                    # It ends with us, however we end.
                    *("setpriv", "--pdeathsig", "TERM", "--", program),
                    f"--config.file={self._folder}/prometheus.json",
                    f"--storage.tsdb.path={self._folder}/data",
                    f"--storage.tsdb.retention.time={KEPT}",
                    f"--web.listen-address=127.0.0.1:{port}",
                    f"--web.console.templates={consoles}",
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._await_ready(port)

    def follow(self) -> None:
        """Tells it which processes there are now; call it every few seconds."""
        targets = json.dumps(
            [
                {
                    "targets": [f"127.0.0.1:{port}"],
                    "labels": {"namespace": NAMESPACE, "role": role.name, "instance": program},
                }
                for program, port in sorted(self._stack.admin_ports().items())
                if (role := role_of(program))
            ]
        )
        if targets != self._targets:
            self._targets = targets
            file = self._folder / "targets.json"
            # Renamed: Prometheus watches the file and must not read half of it.
            file.with_suffix(".new").write_text(targets)
            file.with_suffix(".new").rename(file)

    def is_up(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """Also when it was not started."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()

    def _config(self) -> dict[str, Any]:
        chat = {"file_sd_configs": [{"files": ["targets.json"]}]}
        jobs: list[dict[str, Any]] = [{"job_name": "chat", **chat}]
        port = self._stack.rabbitmq_metrics()
        if port is not None:
            labels = {"namespace": NAMESPACE, "instance": "rabbitmq"}
            of_rabbitmq = {"static_configs": [{"targets": [f"127.0.0.1:{port}"], "labels": labels}]}
            detailed = {"metrics_path": "/metrics/detailed", "params": {"family": list(FAMILIES)}}
            jobs.append({"job_name": "rabbitmq", **of_rabbitmq})
            jobs.append({"job_name": "rabbitmq-queues", **detailed, **of_rabbitmq})
        every = f"{self._interval_s}s"
        return {
            "global": {
                "scrape_interval": every,
                "scrape_timeout": every,
                "evaluation_interval": every,
            },
            "rule_files": ["rules.yaml"],
            "scrape_configs": jobs,
        }

    def _port(self) -> int:
        preferred = {"prometheus": PREFERRED_PORT}
        return choose_ports(["prometheus"], self._stack.layout.ports, preferred)["prometheus"]

    def _await_ready(self, port: int) -> None:
        began = time.monotonic()
        while readiness.http_status(port, "/-/ready") != 200:
            if not self.is_up() or time.monotonic() - began > START_S:
                self.stop()
                end = "\n".join(f"    {line}" for line in self._log.read_text().splitlines()[-8:])
                raise StackError(f"Prometheus does not start:\n{end}\nAll of it: {self._log}")
            time.sleep(0.05)
