"""`make observe`: Prometheus in the foreground, for as long as the stack runs."""

import time
from typing import Final

from local.failure import StackError
from local.observability.dashboards import FOLDER
from local.observability.prometheus import Prometheus
from local.stack import Stack

LOOK_S: Final = 2.0


def observe(stack: Stack) -> None:
    """Until Ctrl-C or the stack's end. Raises StackError when it can't be."""
    if not stack.is_up():
        raise StackError("It is not running; make run starts it.")
    prometheus = Prometheus(stack)
    try:
        prometheus.start()
        _tell(stack, prometheus.url)
        while stack.is_up() and prometheus.is_up():
            prometheus.follow()
            time.sleep(LOOK_S)
    except ConnectionError:
        print("It is being stopped.")
    except KeyboardInterrupt:
        pass
    finally:
        prometheus.stop()


def _tell(stack: Stack, url: str) -> None:
    folder = FOLDER.relative_to(stack.layout.root)
    print(
        f"""
Prometheus watches {", ".join(stack.admin_ports())} and RabbitMQ.
  alerts      {url}/alerts
  targets     {url}/targets
  queries     {url}/graph?g0.expr=sum(rate(chat_events_total[1m]))by(type)&g0.tab=0
  dashboards  {url}/consoles/overview.html
              or import {folder}/dashboards/*.json into a Grafana with this data source
Ctrl-C ends it; what it has measured stays for two days.
""",
        flush=True,
    )
