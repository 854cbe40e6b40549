"""The REST API, put together: `app` for gunicorn, `service` for its hooks."""

from http.server import ThreadingHTTPServer
from typing import Any, Final

import falcon

from libs.common.admin import Health, serve_admin
from libs.common.cache import BlockingCache
from libs.common.config import load
from services.rest_api import problems
from services.rest_api.access_log import AccessLog
from services.rest_api.authentication import Authentication
from services.rest_api.commands import Commands
from services.rest_api.conversations import Conversations, OneConversation
from services.rest_api.documents import documents
from services.rest_api.heads import Heads
from services.rest_api.messages import History, OneMessage, SentMessage
from services.rest_api.openapi import BASE
from services.rest_api.readiness import Readiness
from services.rest_api.reading import Reading
from services.rest_api.settings import RestSettings
from services.rest_api.store import Store, closed_pool


class Service:
    """Everything one worker holds. Nothing is open and no thread runs before `start`."""

    def __init__(self, settings: RestSettings) -> None:
        self._settings = settings
        self._health = Health()
        self._pool = closed_pool(settings)
        self._cache = BlockingCache(settings.redis_url)
        self._commands = Commands(settings, self._health)
        self._store = Store(self._pool)
        self._readiness = Readiness(self._health, self._store, self._cache, self._commands)
        self._admin: ThreadingHTTPServer | None = None

    def start(self) -> None:
        """After the fork. Servers that are away keep it unready, not from starting."""
        self._admin = serve_admin(
            self._health, self._settings.listen_host, self._settings.admin_port
        )
        self._pool.open(wait=False)
        self._commands.start()
        self._readiness.start()

    def stop(self) -> None:
        """After the last call was answered."""
        self._readiness.stop()
        self._commands.stop()
        self._pool.close()
        self._cache.close()
        if self._admin is not None:
            self._admin.shutdown()

    def app(self) -> "falcon.App[Any, Any]":
        store, commands = self._store, self._commands
        heads = Heads(self._cache, self._settings.partitions)
        reading = Reading(store, heads, commands, self._settings.partitions)
        app: falcon.App[Any, Any] = falcon.App()
        app.add_middleware(AccessLog())
        app.add_middleware(Authentication(self._settings.jwt_secret))
        problems.install(app)
        app.add_route(f"{BASE}/conversations", Conversations(reading, store, commands))
        app.add_route(f"{BASE}/conversations/{{conversation_id}}", OneConversation(reading, store))
        app.add_route(f"{BASE}/conversations/{{conversation_id}}/messages", History(reading, store))
        app.add_route(f"{BASE}/messages/{{message_id}}", OneMessage(reading, store))
        app.add_route(
            f"{BASE}/messages/by-client-id/{{client_message_id}}", SentMessage(reading, store)
        )
        for address, document in documents().items():
            app.add_route(f"{BASE}{address}", document)
        return app


service: Final = Service(load(RestSettings))
app: Final = service.app()
