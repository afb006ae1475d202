"""The journal: what goes in comes out, in the same bits, after any kind of end."""

from __future__ import annotations

import math
import os
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import hand_made
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.errors import InputError, KeeperError
from keeper.execution.journal import Journal
from keeper.execution.records import from_json, to_json
from keeper.execution.transactions import Signer, Transaction
from keeper.hedging.decide import HedgeConfig, decide
from keeper.risk.exposure import exposure
from keeper.state.decision import Call, Order, OrderResult, OrderStatus
from keeper.state.snapshot import PendingOrder, Snapshot, SurfaceState, VolSlice

CONFIG = HedgeConfig(policy="fixed-band", band=0.1)


def snapshot(price: float = 100.0, size: float = 1.0) -> Snapshot:
    order = PendingOrder(3, -0.25, 99.5, hand_made.START)
    venues = (hand_made.venue(0.1, pending=order),)
    base = hand_made.snapshot(7, hand_made.START, price, 1e6, (hand_made.holding(size, 0.8),), venues)
    return replace(base, slices=(VolSlice(hand_made.EXPIRY, 0.1, -0.02, 0.3, hand_made.START, SurfaceState.STALE),))


def transaction(key: str = "hedge:scalper:1", nonce: int = 0) -> Transaction:
    order = Order(key, "hedger", Call.HEDGE, "0x" + "11" * 20, "hedge", (), "1")
    return Transaction(order, Signer(b"\1" * 32).address, nonce, order.to, b"\xab", 1, 2**70, "0x02", f"0x{nonce:064x}")


def confirmed(key: str) -> OrderResult:
    return OrderResult(key, OrderStatus.CONFIRMED, "0x1", 9, 1_000, 21_000, 10**9)


def test_a_snapshot_survives_json_bit_by_bit():
    before = snapshot(price=0.1 + 0.2)
    assert from_json(Snapshot, to_json(before)) == before


@given(st.floats(allow_nan=False))
def test_any_number_survives_json(number: float):
    before = replace(snapshot(), price=replace(snapshot().price, price=number))
    assert from_json(Snapshot, to_json(before)) == before


def test_a_decision_comes_back_with_its_inputs_and_is_made_again_the_same(tmp_path: Path):
    seen = snapshot()
    decision = decide(seen, exposure(seen), CONFIG, 5)
    journal = Journal(tmp_path / "j.sqlite")
    journal.record_decision(decision, seen, CONFIG, 5)
    journal.close()
    known = Journal(tmp_path / "j.sqlite").decision(decision.id[:6])
    assert (known.decision, known.snapshot, known.config, known.last_hedge_time) == (decision, seen, CONFIG, 5)
    assert decide(known.snapshot, exposure(known.snapshot), known.config, known.last_hedge_time) == decision


def test_infinite_facts_come_back_infinite():
    seen = replace(snapshot(), venues=(hand_made.venue(0.1),), slices=snapshot().slices)
    decision = decide(seen, exposure(seen), CONFIG, 0)
    journal = Journal(":memory:")
    journal.record_decision(decision, seen, CONFIG, 0)
    assert math.isinf(journal.decision(decision.id).decision.facts["elapsed"])


def test_the_same_decision_is_written_once():
    seen = snapshot()
    decision = decide(seen, exposure(seen), CONFIG, 5)
    journal = Journal(":memory:")
    for _ in range(2):
        journal.record_decision(decision, seen, CONFIG, 5)
    assert journal.decisions() == [decision]


@pytest.mark.parametrize("wanted", ["ffff", "", "%"])
def test_an_id_that_fits_no_decision_or_two_is_refused(wanted: str):
    journal = Journal(":memory:")
    for last in (1, 2):
        seen = snapshot()
        journal.record_decision(decide(seen, exposure(seen), CONFIG, last), seen, CONFIG, last)
    with pytest.raises(InputError, match="keeper status"):
        journal.decision(wanted)


def test_an_order_keeps_its_signed_bytes_and_its_end(tmp_path: Path):
    journal = Journal(tmp_path / "j.sqlite")
    journal.intend(transaction(), 500)
    assert journal.order("hedge:scalper:1").result.status is OrderStatus.INTENDED
    journal.mark(confirmed("hedge:scalper:1"))
    journal.close()
    order = Journal(tmp_path / "j.sqlite").order("hedge:scalper:1")
    assert (order.transaction, order.decided_at) == (transaction(), 500)
    assert order.result == replace(confirmed("hedge:scalper:1"), tx_hash=transaction().hash)


def test_a_key_cannot_be_intended_twice():
    journal = Journal(":memory:")
    journal.intend(transaction(), 0)
    with pytest.raises(sqlite3.IntegrityError):
        journal.intend(transaction(nonce=1), 0)


def test_orders_are_listed_by_status_in_the_order_of_decision():
    journal = Journal(":memory:")
    for nonce, key in enumerate(("c", "a", "b")):
        journal.intend(transaction(key, nonce), 0)
    journal.mark(confirmed("a"))
    open_keys = [order.transaction.order.key for order in journal.orders(OrderStatus.INTENDED)]
    assert (open_keys, len(journal.orders()), journal.counts()["confirmed"]) == (["c", "b"], 3, 1)


def test_a_journal_of_another_deployment_is_refused(tmp_path: Path):
    journal = Journal(tmp_path / "j.sqlite")
    journal.belongs_to("1:0xA")
    journal.belongs_to("1:0xA")
    with pytest.raises(InputError, match="another deployment"):
        journal.belongs_to("1:0xB")


def test_a_journal_of_another_schema_is_refused(tmp_path: Path):
    journal = Journal(tmp_path / "j.sqlite")
    journal.set_meta("schema", "0")
    journal.close()
    with pytest.raises(KeeperError, match="schema 0"):
        Journal(tmp_path / "j.sqlite")


def test_a_file_that_is_no_journal_is_refused_by_name(tmp_path: Path):
    (tmp_path / "j.sqlite").write_text("not a database, only words that are long enough to look like a header" * 10)
    with pytest.raises(InputError, match=r"j\.sqlite"):
        Journal(tmp_path / "j.sqlite")


def test_a_journal_has_one_writer_and_any_number_of_readers(tmp_path: Path):
    path = tmp_path / "j.sqlite"
    writer = Journal(path).claim()
    with pytest.raises(InputError, match=rf"another keeper \(pid {os.getpid()}\) uses this journal"):
        Journal(path).claim()
    assert Journal(path).counts() == {"decisions": 0}
    writer.close()
    Journal(path).claim().close()
    assert not (tmp_path / "j.sqlite.lock").exists()


def test_a_killed_writer_leaves_its_journal_free(tmp_path: Path):
    path = tmp_path / "j.sqlite"
    code = "import os, sys; from keeper.execution.journal import Journal; Journal(sys.argv[1]).claim(); os._exit(9)"
    subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    assert (tmp_path / "j.sqlite.lock").exists()
    Journal(path).claim().close()
