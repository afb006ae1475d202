"""What the keeper decides and what it then asks of the chain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Action(StrEnum):
    """The two things a hedger can do."""

    HOLD = "hold"
    HEDGE = "hedge"


class Reason(StrEnum):
    """Why a decision came out as it did. Each code is explained in ``docs/reasons.md``."""

    INSIDE_BAND = "INSIDE_BAND"
    OUTSIDE_BAND = "OUTSIDE_BAND"
    INTERVAL_DUE = "INTERVAL_DUE"
    INTERVAL_NOT_DUE = "INTERVAL_NOT_DUE"
    POLICY_NONE = "POLICY_NONE"
    ORDER_IN_FLIGHT = "ORDER_IN_FLIGHT"
    PRICE_STALE = "PRICE_STALE"
    SURFACE_FROZEN = "SURFACE_FROZEN"
    SURFACE_UNCERTAIN = "SURFACE_UNCERTAIN"
    BUDGET_EXHAUSTED = "BUDGET_EXHAUSTED"
    SIZE_TOO_SMALL = "SIZE_TOO_SMALL"
    MARGIN_SHORT = "MARGIN_SHORT"
    VENUE_FULL = "VENUE_FULL"
    COOLING_DOWN = "COOLING_DOWN"
    NOT_A_NUMBER = "NOT_A_NUMBER"
    HALTED = "HALTED"
    DRY_RUN = "DRY_RUN"


@dataclass(frozen=True, slots=True)
class Decision:
    """One answer of the hedging policy.

    ``size`` is signed coins to trade at ``venue`` (0 when holding), ``acceptable_price`` USD. ``facts`` holds every
    number that led to it, so that ``keeper explain`` can show and replay it.
    """

    id: str
    vault: str
    block_number: int
    timestamp: int
    action: Action
    reason: Reason
    venue: str
    size: float
    acceptable_price: float
    facts: Mapping[str, float]


class Call(StrEnum):
    """Every transaction that a keeper role may send."""

    HEDGE = "hedge"
    SETTLE = "settle"
    CANCEL = "cancel"
    PUBLISH_PRICE = "publish_price"
    SUBMIT_VOLATILITY = "submit_volatility"
    POKE_VOLATILITY = "poke_volatility"
    LIST_SERIES = "list_series"
    ROLL = "roll"
    FIX_EXPIRY = "fix_expiry"
    SETTLE_SERIES = "settle_series"
    LIQUIDATE = "liquidate"
    BID = "bid"
    ADL = "adl"
    SETTLE_DEFICIT = "settle_deficit"
    REVIEW = "review"
    TRADE = "trade"
    DELIVER = "deliver"
    EXPIRE_MESSAGE = "expire_message"
    REPORT_HOME = "report_home"


@dataclass(frozen=True, slots=True)
class Order:
    """A call that a role wants on chain: the contract, its function and exact arguments.

    ``key`` is the same for the same intention (for example ``hedge:<decision id>``), so that asking twice sends once.
    """

    key: str
    role: str
    call: Call
    to: str
    function: str
    arguments: tuple[object, ...]
    decision_id: str | None = None


class OrderStatus(StrEnum):
    """Life of an order in the journal. Never goes back, except that a reorg returns a mined order to ``SENT``."""

    INTENDED = "intended"
    SENT = "sent"
    CONFIRMED = "confirmed"
    REVERTED = "reverted"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class OrderResult:
    """What became of an order. ``error`` is the decoded revert or the refusal, empty when confirmed."""

    key: str
    status: OrderStatus
    tx_hash: str
    block_number: int
    timestamp: int
    gas_used: int
    gas_price: int
    error: str = ""
