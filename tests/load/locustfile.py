"""Users in pairs who chat as people do, for locust; `make load` starts it.

Each row of the statistics is named after the frame at which its time ends: CONNECT_SUCCESS from
the TCP connection on, MESSAGE_SENT, MESSAGE_READ and SYNC_RESULT from the question on,
MESSAGE_RECEIVED and TYPING_START from the sender's socket to the recipient's.
"""

import os
import random
import time
from typing import Final
from uuid import UUID, uuid4

from locust import User, events, task
from locust.argument_parser import LocustArgumentParser
from locust.contrib.fasthttp import FastHttpSession
from locust.env import Environment

from local.tokens import sign
from tests.load.connections import OpenConnections
from tests.load.failure import Failure
from tests.load.pairs import Pair, Seat, Shown, WaitingRoom
from tests.load.session import Frame, Session, refusal
from tests.load.target import Target

DELIVERED_S: Final = 15.0
TYPING_S: Final = 5.0
"""After which the service itself takes it that nobody types any more."""
BACKOFF_FIRST_S: Final = 0.5
BACKOFF_MOST_S: Final = 5.0
PADDING: Final = "a message of one to two hundred bytes, as people send them to each other"

now = time.perf_counter


def _options(parser: LocustArgumentParser) -> None:
    parser.add_argument(
        "--pause",
        type=float,
        default=1.0,
        help="mean seconds from what a user has done to what it does next",
    )
    parser.add_argument(
        "--yes-this-is-mine",
        action="store_true",
        include_in_web_ui=False,
        help="the address is another machine's, which is mine to load",
    )


def _init(environment: Environment, **_: object) -> None:
    if not os.environ.get("CHAT_JWT_SECRET"):
        raise SystemExit("CHAT_JWT_SECRET is missing: the secret that tokens are signed with.")
    if environment.host:
        try:
            _target(environment)
        except ValueError as error:
            raise SystemExit(str(error)) from None
    ChatUser.connections = OpenConnections(environment)


def _start(**_: object) -> None:
    # The address may be another than last time: its conversations are not known there.
    ChatUser.waiting_room = WaitingRoom()


def _target(environment: Environment) -> Target:
    assert environment.parsed_options is not None
    return Target.of(
        environment.host or "", is_mine=bool(environment.parsed_options.yes_this_is_mine)
    )


class ChatUser(User):
    """Connects, and comes back whenever its connection ends; so long as it can't, it backs off."""

    connections: OpenConnections
    waiting_room: WaitingRoom

    def on_start(self) -> None:
        """Raises ValueError for an address that may not be loaded, as typed into the web page."""
        self.target = _target(self.environment)
        self.pause: float = self.environment.parsed_options.pause
        self.secret = os.environ["CHAT_JWT_SECRET"]
        self.seat: Seat = self.waiting_room.enter()
        self.connected()

    def on_stop(self) -> None:
        if hasattr(self, "seat"):
            self._leave()
            self.waiting_room.leave(self.seat)

    def wait_time(self) -> float:
        return self.pause * random.uniform(0.5, 1.5)

    # ---------------------------------------------------------------- what a user does

    @task(10)
    def send(self) -> None:
        """One message, and waits until it is with the other user."""
        session, seat = self.connected(), self.seat
        client_id, shown = str(uuid4()), Shown()
        seat.messages[client_id] = shown
        answered = self._ask(
            session,
            "MESSAGE_SENT",
            {"clientMessageId": client_id},
            "SEND_MESSAGE",
            clientMessageId=client_id,
            content=f"{client_id} {PADDING}",
        )
        # Who is connected is told at once; who is away gets it by its next SYNC.
        comes = answered is not None and seat.other.is_connected
        if comes and not shown.came.wait(DELIVERED_S) and seat.other.is_connected:
            self._tell("MESSAGE_RECEIVED", shown.began, Failure("NOT_DELIVERED"))
        seat.messages.pop(client_id, None)

    @task(4)
    def type(self) -> None:
        session, other = self.connected(), self.seat.other
        reader = other.session if other.is_connected else None
        self.seat.typing = shown = Shown()
        try:
            session.send("TYPING_START", **self._here())
            missed = reader is not None and not shown.came.wait(TYPING_S)
            # Who reconnected meanwhile is rightly not told: typing does not last.
            if missed and other.session is reader and other.is_connected and session.is_open:
                self._tell("TYPING_START", shown.began, Failure("NOT_SHOWN"))
            session.send("TYPING_STOP", **self._here())
        except Failure:
            pass  # the connection is lost, which `_lost` tells

    @task(4)
    def read(self) -> None:
        session, seq = self.connected(), self.seat.unread_seq
        if seq == 0:
            return
        mine = {"readerId": session.user_id}
        if self._ask(session, "MESSAGE_READ", mine, "MARK_AS_READ", upToSeq=seq):
            self.seat.unread_seq = 0 if self.seat.unread_seq == seq else self.seat.unread_seq

    @task(1)
    def reconnect(self) -> None:
        self._leave()
        time.sleep(self.wait_time())
        self.connected()

    # ---------------------------------------------------------------- connecting

    def connected(self) -> Session:
        """The live session; connects until there is one."""
        backoff = BACKOFF_FIRST_S
        while self.seat.session is None or not self.seat.session.is_open:
            try:
                self.conversation_id = self.seat.pair.conversation_id(self._create)
                self._connect()
            except Failure:
                time.sleep(backoff * random.uniform(0.5, 1.0))
                backoff = min(backoff * 2, BACKOFF_MOST_S)
        return self.seat.session

    def _create(self, pair: Pair) -> UUID:
        """As the match service would. Raises Failure, which is told."""
        client = FastHttpSession(
            self.target.rest_url, self.environment.events.request, self, insecure=False
        )
        first, second = pair.seats
        body = {
            "matchId": str(pair.match_id),
            "user1Id": str(first.user_id),
            "user2Id": str(second.user_id),
        }
        token = sign(self.secret, str(first.user_id), scope="service")
        with client.post(
            "/conversations",
            json=body,
            headers={"Authorization": f"Bearer {token}"},
            catch_response=True,
        ) as response:
            failure: Failure | None = None
            if response.status_code == 0:
                failure = Failure(type(response.error).__name__)
            elif response.status_code not in (200, 201):
                failure = refusal(response.status_code, response.content or b"")
            if failure is not None:
                response.failure(failure)
                raise failure
            return UUID(response.json()["conversationId"])

    def _connect(self) -> None:
        """And takes what came meanwhile. Raises Failure, which is told."""
        token = sign(self.secret, str(self.seat.user_id))
        began = now()
        try:
            session = Session.open(self.target.socket_url, token, self._take, self._lost)
        except Failure as failure:
            self._tell("CONNECT_SUCCESS", began, failure)
            raise
        self._tell("CONNECT_SUCCESS", began)
        self.connections.opened()
        self.seat.session = session
        head = session.success["heads"].get(str(self.conversation_id), 0)
        while self.seat.known_seq < head and session.is_open:
            found = self._ask(
                session, "SYNC_RESULT", self._here(), "SYNC", afterSeq=self.seat.known_seq
            )
            if found is None:
                break
            for message in found["messages"]:
                self._has(message)
            self.seat.has_all(
                found["head"] if found["complete"] else found["messages"][-1]["changedSeq"]
            )

    def _leave(self) -> None:
        session = self.seat.session
        if session is not None and session.is_open:
            self.connections.closed()
            session.close()

    # ---------------------------------------------------------------- what comes

    def _take(self, frame: Frame) -> None:
        """Every frame of a session, by its reading greenlet."""
        seat = self.seat
        if "seq" in frame:
            seat.has(frame["seq"])
        match frame["type"]:
            case "MESSAGE_RECEIVED":
                shown = self._has(frame)
                if shown is not None:
                    self._tell("MESSAGE_RECEIVED", shown.began)
            case "TYPING_START":
                shown, seat.other.typing = seat.other.typing, None
                if shown is not None:
                    shown.came.set()
                    self._tell("TYPING_START", shown.began)
            case "ERROR":
                self._tell(frame["ref"].get("type") or "ERROR", now(), Failure(frame["error"]))

    def _has(self, message: Frame) -> Shown | None:
        """Takes note of a message of the other's; what it is, if it had not come yet."""
        if message["senderId"] != str(self.seat.other.user_id) or not message["content"]:
            return None
        self.seat.unread_seq = max(self.seat.unread_seq, message["seq"])
        shown = self.seat.arrived(message["content"])
        if shown is not None:
            shown.came.set()
        return shown

    def _lost(self, failure: Failure) -> None:
        self.connections.closed()
        self._tell("connection", now(), failure)

    # ---------------------------------------------------------------- telling locust

    def _ask(
        self, session: Session, answer: str, matching: Frame, kind: str, **fields: object
    ) -> Frame | None:
        """The answer, told as `answer`; None where there was none."""
        began = now()
        try:
            frame = session.ask(answer, matching, kind, **self._here(), **fields)
        except Failure as failure:
            self._tell(answer, began, failure)
            return None
        self._tell(answer, began)
        return frame

    def _tell(self, name: str, began: float, failure: Failure | None = None) -> None:
        self.environment.events.request.fire(
            request_type="WS",
            name=name,
            response_time=(now() - began) * 1000,
            response_length=0,
            exception=failure,
            context={},
        )

    def _here(self) -> Frame:
        return {"conversationId": str(self.conversation_id)}


events.init_command_line_parser.add_listener(_options)
events.init.add_listener(_init)
events.test_start.add_listener(_start)
