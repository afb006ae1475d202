"""The keeper's memory: every decision and every order in one SQLite file, written before anything is sent.

An order is written with its signed bytes and nonce first (``INTENDED``), then sent, then marked (``SENT``), and ends
``CONFIRMED``, ``REVERTED`` or ``REFUSED``. Whatever happens in between, the next start finds the bytes here and asks
the chain what became of them. A decision is written with the snapshot and the configuration that it came from, so that
it can be made again.

All times are the chain's; nothing here reads a clock.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from keeper.errors import InputError, KeeperError
from keeper.execution.lock import WriterLock
from keeper.execution.records import from_json, to_json
from keeper.execution.transactions import Transaction
from keeper.hedging.decide import HedgeConfig
from keeper.state.decision import Action, Call, Decision, Order, OrderResult, OrderStatus, Reason
from keeper.state.snapshot import Snapshot

SCHEMA_VERSION: Final = "1"
OPEN: Final = (OrderStatus.INTENDED, OrderStatus.SENT)
"""Orders that may still have an effect."""

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS decisions (
    id TEXT PRIMARY KEY, vault TEXT NOT NULL, block_number INTEGER NOT NULL, timestamp INTEGER NOT NULL,
    action TEXT NOT NULL, reason TEXT NOT NULL, venue TEXT NOT NULL, size REAL NOT NULL, acceptable_price REAL NOT NULL,
    facts TEXT NOT NULL, snapshot BLOB NOT NULL, config TEXT NOT NULL, last_hedge_time INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS decisions_in_order ON decisions (vault, block_number);
CREATE TABLE IF NOT EXISTS orders (
    key TEXT PRIMARY KEY, role TEXT NOT NULL, call TEXT NOT NULL, contract TEXT NOT NULL, function TEXT NOT NULL,
    decision_id TEXT, sender TEXT NOT NULL, nonce INTEGER NOT NULL, gas INTEGER NOT NULL, max_fee TEXT NOT NULL,
    data TEXT NOT NULL, raw TEXT NOT NULL, hash TEXT NOT NULL, status TEXT NOT NULL, decided_at INTEGER NOT NULL,
    block_number INTEGER NOT NULL DEFAULT 0, timestamp INTEGER NOT NULL DEFAULT 0, gas_used INTEGER NOT NULL DEFAULT 0,
    gas_price INTEGER NOT NULL DEFAULT 0, error TEXT NOT NULL DEFAULT '');
CREATE INDEX IF NOT EXISTS orders_by_status ON orders (status);
CREATE INDEX IF NOT EXISTS orders_by_hash ON orders (hash);
"""


@dataclass(frozen=True, slots=True)
class JournaledDecision:
    """A decision with everything that it was a function of."""

    decision: Decision
    snapshot: Snapshot
    config: HedgeConfig
    last_hedge_time: int


@dataclass(frozen=True, slots=True)
class JournaledOrder:
    """An order, the transaction that carries it, and what became of it. ``decided_at`` is the chain's time."""

    transaction: Transaction
    decided_at: int
    result: OrderResult


def _packed(snapshot: Snapshot) -> bytes:
    """A snapshot as compressed JSON: about a tenth, and a decision is written with every block."""
    return zlib.compress(to_json(snapshot).encode(), 1)


def _unpacked(packed: bytes) -> Snapshot:
    return from_json(Snapshot, zlib.decompress(packed).decode())


class Journal:
    """One SQLite file in WAL mode; ``:memory:`` keeps it in this process.

    ``durable`` waits for the disk at every commit, so that the journal outlives a power cut and not only a crash.
    """

    def __init__(self, path: Path | str, durable: bool = True) -> None:
        self.path = str(path)
        self._lock: WriterLock | None = None
        if self.path != ":memory:":
            Path(self.path).parent.mkdir(parents=True, exist_ok=True)
        try:
            self._db = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
            self._db.executescript(_SCHEMA)
        except sqlite3.Error as error:
            raise InputError(f"cannot open the journal {self.path}: {error}; name another file or remove it") from None
        self._check_version()

    def claim(self) -> Journal:
        """Be its only writer until it is closed. Raises ``InputError`` when another process is."""
        if self.path != ":memory:":
            self._lock = WriterLock(self.path)
        return self

    def close(self) -> None:
        """Let go of the file; everything written so far is in it."""
        self._db.close()
        if self._lock is not None:
            self._lock.release()

    # Decisions

    def record_decision(
        self, decision: Decision, snapshot: Snapshot, config: HedgeConfig, last_hedge_time: int
    ) -> None:
        """Write a decision with its inputs. The same decision again changes nothing."""
        self._db.execute(
            "INSERT OR IGNORE INTO decisions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                decision.id, decision.vault, decision.block_number, decision.timestamp, decision.action.value,
                decision.reason.value, decision.venue, decision.size, decision.acceptable_price,
                to_json(decision.facts), _packed(snapshot), to_json(config), last_hedge_time,
            ),
        )  # fmt: skip

    def decision(self, decision_id: str) -> JournaledDecision:
        """The decision whose id starts with ``decision_id``, or the newest for ``last``.

        Raises ``InputError`` when there is not exactly one.
        """
        if decision_id == "last":
            rows = self._db.execute("SELECT * FROM decisions ORDER BY rowid DESC LIMIT 1").fetchall()
        else:
            rows = self._db.execute(
                "SELECT * FROM decisions WHERE substr(id, 1, ?) = ? LIMIT 2", (len(decision_id), decision_id)
            ).fetchall()
        if len(rows) != 1:
            what = "no decision" if not rows else "more than one decision"
            raise InputError(f"{what} in {self.path} has an id that starts with '{decision_id}': see `keeper status`")
        return JournaledDecision(
            _decision(rows[0]), _unpacked(rows[0][10]), from_json(HedgeConfig, rows[0][11]), rows[0][12]
        )

    def decisions(self, vault: str | None = None, limit: int = -1) -> list[Decision]:
        """Decisions, newest first."""
        rows = self._db.execute(
            "SELECT * FROM decisions WHERE ?1 IS NULL OR vault = ?1 ORDER BY rowid DESC LIMIT ?2", (vault, limit)
        )
        return [_decision(row) for row in rows]

    # Orders

    def intend(self, transaction: Transaction, decided_at: int) -> None:
        """Write an order before it is sent."""
        order = transaction.order
        self._db.execute(
            "INSERT INTO orders (key, role, call, contract, function, decision_id, sender, nonce, gas, max_fee, data, "
            "raw, hash, status, decided_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                order.key, order.role, order.call.value, order.to, order.function, order.decision_id,
                transaction.sender, transaction.nonce, transaction.gas, str(transaction.max_fee),
                transaction.data.hex(), transaction.raw, transaction.hash, OrderStatus.INTENDED.value, decided_at,
            ),
        )  # fmt: skip

    def mark(self, result: OrderResult) -> None:
        """Write what is now known of an order."""
        self._db.execute(
            "UPDATE orders SET status = ?, block_number = ?, timestamp = ?, gas_used = ?, gas_price = ?, error = ? "
            "WHERE key = ?",
            (
                result.status.value, result.block_number, result.timestamp, result.gas_used, result.gas_price,
                result.error, result.key,
            ),
        )  # fmt: skip

    def order(self, key: str) -> JournaledOrder | None:
        """The order of a key, or None."""
        row = self._db.execute(f"{_ORDER} WHERE key = ?", (key,)).fetchone()
        return None if row is None else _order(row)

    def orders(self, *statuses: OrderStatus) -> list[JournaledOrder]:
        """Orders in the order in which they were decided; all of them, or those with one of these statuses."""
        marks = ", ".join("?" * len(statuses)) or "status"
        rows = self._db.execute(f"{_ORDER} WHERE status IN ({marks}) ORDER BY rowid", [s.value for s in statuses])
        return [_order(row) for row in rows]

    def counts(self) -> dict[str, int]:
        """How many orders have each status, and how many decisions there are."""
        rows = self._db.execute("SELECT status, count(*) FROM orders GROUP BY status").fetchall()
        decisions = self._db.execute("SELECT count(*) FROM decisions").fetchone()[0]
        return {"decisions": int(decisions), **{str(status): int(number) for status, number in rows}}

    # Facts about the run

    def meta(self, name: str) -> str | None:
        """A remembered fact, or None."""
        row = self._db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def set_meta(self, name: str, value: str) -> None:
        """Remember a fact."""
        self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))

    def belongs_to(self, identity: str) -> None:
        """Tie the journal to one deployment; raises ``InputError`` when it belongs to another one."""
        known = self.meta("deployment")
        if known is None:
            self.set_meta("deployment", identity)
        elif known != identity:
            raise InputError(
                f"the journal {self.path} belongs to another deployment ({known}): give --journal another file"
            )

    def _check_version(self) -> None:
        version = self.meta("schema")
        if version is None:
            self.set_meta("schema", SCHEMA_VERSION)
        elif version != SCHEMA_VERSION:
            raise KeeperError(
                f"the journal {self.path} has schema {version} and this keeper writes {SCHEMA_VERSION}: "
                "finish its orders with the keeper that wrote it, then start a new file"
            )


_ORDER: Final = (
    "SELECT key, role, call, contract, function, decision_id, sender, nonce, gas, max_fee, data, raw, hash, status, "
    "decided_at, block_number, timestamp, gas_used, gas_price, error FROM orders"
)


def _decision(row: tuple[Any, ...]) -> Decision:
    return Decision(
        row[0], row[1], row[2], row[3], Action(row[4]), Reason(row[5]), row[6], row[7], row[8], json.loads(row[9])
    )


def _order(row: tuple[Any, ...]) -> JournaledOrder:
    """A row of ``_ORDER``; an order's arguments are in its call data, so they are not kept a second time."""
    order = Order(row[0], row[1], Call(row[2]), row[3], row[4], (), row[5])
    transaction = Transaction(
        order, row[6], row[7], row[3], bytes.fromhex(row[10]), row[8], int(row[9]), row[11], row[12]
    )
    result = OrderResult(row[0], OrderStatus(row[13]), row[12], row[15], row[16], row[17], row[18], row[19])
    return JournaledOrder(transaction, row[14], result)
