"""The load, and how many AMQP messages carry it. Pure."""

from dataclasses import dataclass
from typing import Final

from tests.bench.capacity.batching import batches_per_s, gateways_of_a_batch
from tests.bench.capacity.costs import PATIENCE_S

DAY_S: Final = 86_400


@dataclass(frozen=True, slots=True)
class Load:
    """What the users do. All but `connections` are assumptions: change them."""

    connections: float = 1e5
    """WebSocket sessions at once, at the peak."""
    sessions_per_user: float = 1.0
    messages_per_user_day: float = 40.0
    """Sent by each user who is connected at the peak, over a day."""
    peak: float = 5.0
    """Busiest second over the day's mean."""
    recipient_online: float = 0.5
    """Share of messages whose recipient is connected: only these have a receipt."""
    reads_per_message: float = 0.5
    """MARK_AS_READ; one may name many messages."""
    typing_per_message: float = 2.0
    connects_per_user_day: float = 20.0
    calls_per_user_day: float = 40.0
    """REST."""
    conversations_per_user: float = 20.0
    active_conversations_per_user: float = 2.0
    """Of these, used within the hour of the peak."""
    others_online: float = 0.1
    """Share of the conversations whose other user is connected when somebody comes or goes."""
    characters: float = 100.0
    """Bytes of a content."""
    kept_years: float = 1.0

    @property
    def users(self) -> float:
        return self.connections / self.sessions_per_user

    @property
    def active_conversations(self) -> float:
        """Each is two users'."""
        return self.users * self.active_conversations_per_user / 2

    def at_peak(self, per_user_day: float) -> float:
        """Per second in the busiest second."""
        return self.users * per_user_day * self.peak / DAY_S

    @property
    def messages_per_s(self) -> float:
        return self.at_peak(self.messages_per_user_day)


@dataclass(frozen=True, slots=True)
class Rates:
    """Per second: what a load asks of one deployment."""

    sends: float
    receipts: float
    reads: float
    typing: float
    connects: float
    typing_notes: float
    told: float
    """Others who are told that one user has come, or has gone."""
    destinations: float
    """Deliveries of entries and answers, each to one gateway."""

    @property
    def events(self) -> float:
        return self.sends + self.receipts + self.reads

    @property
    def signals(self) -> float:
        return self.typing + self.connects

    @property
    def notes(self) -> float:
        """Frames that are no entries: typing, CONNECT_SUCCESS, USER_ONLINE and USER_OFFLINE."""
        return self.typing_notes + self.connects * (1 + 2 * self.told)

    @classmethod
    def of(cls, load: Load) -> "Rates":
        sends = load.messages_per_s
        receipts, reads = sends * load.recipient_online, sends * load.reads_per_message
        typing = sends * load.typing_per_message
        connects = load.at_peak(load.connects_per_user_day) * load.sessions_per_user
        sessions, online = load.sessions_per_user, load.recipient_online
        return cls(
            sends=sends,
            receipts=receipts,
            reads=reads,
            typing=typing,
            connects=connects,
            typing_notes=typing * online * sessions,
            told=load.conversations_per_user * load.others_online * sessions,
            destinations=(sends + reads) * sessions * (1 + online) + receipts * 2 * sessions,
        )

    @classmethod
    def of_bench(cls, messages_per_s: float) -> "Rates":
        """`make bench`: every recipient is connected, nothing but messages and receipts."""
        return cls(messages_per_s, messages_per_s, 0, 0, 0, 0, 0, 4 * messages_per_s)


@dataclass(frozen=True, slots=True)
class Busy:
    """From one batch to the next, seconds, of whoever has enough to send.

    At least the pacing (`CHAT_GATEWAY_PACING_MS`, `CHAT_ROUTER_PACING_MS`); longer where the
    confirm takes longer, which makes batches larger and fewer.
    """

    gateway_s: float = 0.002
    router_s: float = 0.002


@dataclass(frozen=True, slots=True)
class Amqp:
    """AMQP messages per second by what they carry."""

    events: float
    writes: float
    """One a router's batch."""
    deliveries: float
    signals: float
    notes: float
    """Typing, CONNECT_SUCCESS, presence: as if those of each signal travelled alone."""

    @property
    def all(self) -> float:
        return self.events + self.writes + self.deliveries + self.signals + self.notes

    @property
    def lasting(self) -> float:
        """Persistent, in quorum queues."""
        return self.events + self.writes

    @classmethod
    def of(
        cls,
        rates: Rates,
        gateways: int,
        partitions: int,
        busy: Busy,
        *,
        patience_s: float = PATIENCE_S,
    ) -> "Amqp":
        """What carries these rates, on average.

        A gateway has one outbox for each partition's events and one for its signals; a router
        makes a batch of what all gateways have sent to a partition, writes it as one AMQP
        message and delivers it as one to each gateway that it concerns.
        """
        outboxes = gateways * partitions
        events = outboxes * batches_per_s(
            (rates.sends + rates.reads) / outboxes,
            busy.gateway_s,
            patient_per_s=rates.receipts / outboxes,
            patience_s=patience_s,
        )
        batches = partitions * batches_per_s(events / partitions, busy.router_s)
        of_a_batch = rates.destinations / batches if batches else 0.0
        return cls(
            events=events,
            writes=batches,
            deliveries=batches * gateways_of_a_batch(of_a_batch, gateways),
            signals=outboxes * batches_per_s(rates.signals / outboxes, busy.gateway_s),
            notes=rates.typing_notes
            + rates.connects * (1 + 2 * gateways_of_a_batch(rates.told, gateways)),
        )
