"""What `python -m tests.bench.scale` sows, varies and prints."""

from itertools import pairwise

import pytest

from tests.bench.scale.holding import Held
from tests.bench.scale.seeding import Kind, Seed, pairs_of, seeded_id
from tests.bench.scale.table import Idle, Row, heading, line
from tests.bench.scale.variations import ALL
from tests.bench.section import Section

SEED = Seed(conversations=40, messages=3, pairs=5, each=4)


def row(**changes: object) -> Row:
    section = Section(
        seconds=10.0,
        received=10_000,
        delivery_ms=[5.0, 9.0, 20.0, 40.0],
        acknowledged_ms=[],
        sent_in_all=10_000,
        received_in_all=10_000,
        acknowledged_in_all=10_000,
        delivered_in_all=10_000,
        errors=[],
        generator_cpu_s=1.0,
        cpu_s={"router": 4.0, "gateway": 3.0},
    )
    for name, value in changes.items():
        setattr(section, name, value)
    return Row("partitions", "4 partitions", "1000/s", section, others_cores=0.0)


def test_ids_differ_by_kind_and_rise_with_their_number() -> None:
    assert str(seeded_id(Kind.CONVERSATION, 255)) == "00000000-0003-7000-8000-0000000000ff"
    ids = [seeded_id(kind, number) for kind in Kind for number in range(3)]
    assert all(one < next_one for one, next_one in pairwise(ids))


def test_every_user_has_as_many_conversations_and_no_partner_twice() -> None:
    partners = [(number // SEED.each, SEED.receiver(number)) for number in range(40)]
    assert len(set(partners)) == 40
    for receiver in range(10):
        assert sum(partner == receiver for _, partner in partners) == SEED.each


def test_the_first_pairs_write_to_each_other_alone() -> None:
    of_first = {SEED.receiver(number) for number in range(SEED.pairs * SEED.each)}
    assert of_first == set(range(SEED.pairs))
    walked = [one for pair in pairs_of(SEED) for one in pair.conversations]
    assert walked == [seeded_id(Kind.CONVERSATION, number) for number in range(20)]


def test_chunks_have_every_conversation_once() -> None:
    seed = Seed(conversations=1_000, messages=10_000, pairs=500, each=2)
    chunks = list(seed.chunks())
    assert len(chunks) == 40
    assert [number for chunk in chunks for number in chunk] == list(range(1_000))


def test_senders_who_would_not_come_out_even() -> None:
    with pytest.raises(ValueError, match="fewer conversations"):
        Seed(conversations=30, messages=1, pairs=5, each=4)


def test_variations_with_one_seed_stand_together() -> None:
    seeds = [variation.seed for variation in ALL]
    changes = [seed for seed, before in zip(seeds, [None, *seeds], strict=False) if seed != before]
    assert len(changes) == len(set(changes))


def test_a_line_is_aligned_and_has_no_remark_when_all_is_well() -> None:
    text = line(row())
    assert len(text) == len(heading())
    assert text.split()[2:] == ["1000/s", "1,000", "5.0", "9.0", "0.700", "0.300", "0.400"]


def test_a_line_says_what_makes_it_worth_less() -> None:
    text = line(row(delivered_in_all=9_990, errors=["429"]))
    assert text.endswith("  10 missing  ERROR 429")


def test_idle_connections_in_a_line() -> None:
    held = Held(1_000, [10.0, 20.0, 30.0, 40.0], 1_234.0)
    assert Idle("1,000 idle connections", held, 6.54).text() == (
        "1,000 idle connections: 1,234 connections/s, set up in p50 10, p95 20 ms; "
        "6.5 KiB each in the gateway"
    )
