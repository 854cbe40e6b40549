"""The REST API, put together: `app` for gunicorn, `service` for its hooks."""

from http.server import ThreadingHTTPServer
from typing import Any, Final

import falcon

from libs.common.admin import Health, serve_admin
from libs.common.cache import BlockingCache
from libs.common.config import load
from libs.common.jwks import verifier_of
from libs.common.listener import listen
from libs.common.metrics import HTTP_THREADS
from libs.common.passages import PASSAGES
from services.rest_api import problems
from services.rest_api.access_log import AccessLog
from services.rest_api.authentication import Authentication
from services.rest_api.commands import Commands
from services.rest_api.compression import Compression
from services.rest_api.conversations import Conversations, OneConversation
from services.rest_api.cross_origin import CrossOrigin
from services.rest_api.documents import documents
from services.rest_api.finding import Finding
from services.rest_api.heads import Heads
from services.rest_api.hints import Hints
from services.rest_api.history import History
from services.rest_api.messages import OneMessage, ReadMark, SentMessage
from services.rest_api.openapi import BASE
from services.rest_api.presence import Presence
from services.rest_api.rate_limit import RateLimit
from services.rest_api.readiness import Readiness
from services.rest_api.reading import Reading
from services.rest_api.recent import Recent
from services.rest_api.routing import Router
from services.rest_api.search import Search
from services.rest_api.search_room import SearchRoom
from services.rest_api.settings import RestSettings
from services.rest_api.soft_cache import SoftCache
from services.rest_api.store import Store, closed_pool
from services.rest_api.sync import Sync
from services.rest_api.unread import UnreadCounts
from services.rest_api.validation import Validation


class Service:
    """Everything one worker holds. Nothing is open and no thread runs before `start`."""

    def __init__(self, settings: RestSettings) -> None:
        self._settings = settings
        self._health = Health()
        self._pool = closed_pool(settings, settings.rest_database_connections)
        # A pool whose connections are all in use doesn't say that PostgreSQL is away.
        self._probing = closed_pool(settings, 1)
        self._cache = BlockingCache(settings.redis_url)
        self._soft_cache = SoftCache(self._cache)
        self._verifier = verifier_of(settings)
        self._commands = Commands(settings, self._health, self._verifier.revoked)
        self._store = Store(self._pool)
        self._readiness = Readiness(
            self._health, self._verifier, Store(self._probing), self._commands
        )
        self._admin: ThreadingHTTPServer | None = None

    def start(self) -> None:
        """After the fork. Servers that are away keep it unready, not from starting."""
        PASSAGES.most_bytes = self._settings.trace_mib << 20
        listener = listen(self._settings.listen_host, self._settings.admin_port)
        self._admin = serve_admin(self._health, listener)
        HTTP_THREADS.set(self._settings.rest_threads)
        self._pool.open(wait=False)
        self._probing.open(wait=False)
        self._commands.start()
        self._verifier.keys.start()
        self._readiness.start()

    def leave(self) -> None:
        """Unready for good; what has come is still answered."""
        self._health.stop()

    def stop(self) -> None:
        """After the last call was answered."""
        self.leave()
        self._readiness.stop()
        self._verifier.keys.stop()
        self._commands.stop()
        self._pool.close()
        self._probing.close()
        self._cache.close()
        if self._admin is not None:
            self._admin.shutdown()

    def app(self) -> "falcon.App[Any, Any]":
        app: falcon.App[Any, Any] = falcon.App(router=Router())
        # Answers pass them from the last to the first.
        app.add_middleware(AccessLog())
        if self._settings.origins:
            app.add_middleware(CrossOrigin(self._settings.origins))
        app.add_middleware(Compression())
        app.add_middleware(Validation())
        app.add_middleware(Authentication(self._verifier))
        app.add_middleware(RateLimit(self._soft_cache, self._settings.calls_per_second))
        problems.install(app)
        for path, resource in self.routes().items():
            app.add_route(f"{BASE}{path}", resource)
        return app

    def routes(self) -> dict[str, object]:
        """Every address below BASE, and what answers there."""
        store, commands, cache = self._store, self._commands, self._soft_cache
        partitions = self._settings.partitions
        hints = Hints(commands, partitions)
        reading = Reading(store, Heads(cache, partitions), commands, partitions)
        recent = Recent(cache, reading, store, hints)
        presence = Presence(cache)
        finding = Finding(store, hints, SearchRoom(self._settings.rest_database_connections))
        conversations = Conversations(reading, store, presence, finding, commands)
        return {
            "/conversations": conversations,
            "/conversations/{conversation_id}": OneConversation(reading, store, presence, commands),
            "/conversations/{conversation_id}/messages": History(reading, store, recent),
            "/conversations/{conversation_id}/sync": Sync(reading, store),
            "/messages/search": Search(reading, finding),
            "/messages/{message_id}": OneMessage(reading, store, commands),
            "/messages/{message_id}/read": ReadMark(reading, store, commands),
            "/messages/by-client-id/{client_message_id}": SentMessage(reading, store),
            "/unread": UnreadCounts(cache, reading, store, hints),
            **documents(),
        }


service: Final = Service(load(RestSettings))
app: Final = service.app()
