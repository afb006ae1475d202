"""Cash that a liquidation costs an account, where no fill tells it.

A sale in an auction changes cash by what was received; what the sold options were worth is taken off where their lines
end. A charge takes a known amount. A haircut takes a part of the cash that the account had just then: its cash at the
start of the interval and everything that changed it since.
"""

from __future__ import annotations

from collections.abc import Sequence

from keeper.state.events import Charge, Event, Expiry, Fill, Flow, Haircut, OptionTrade, Sale


def cash_terms(cash: float, events: Sequence[Event]) -> list[dict[str, float]]:
    """Terms of an interval that an account begins with ``cash`` (USD), from all its events in order."""
    terms: list[dict[str, float]] = []
    for event in events:
        change = cash_change(cash, event)
        if isinstance(event, Sale | Charge | Haircut):
            terms.append({"liquidation": change})
        cash += change
    return terms


def cash_change(cash: float, event: Event) -> float:
    """USD by which an event changes the cash of its account, which has ``cash`` before it."""
    match event:
        case Fill():
            return event.pnl + event.funding - event.fee - event.reward - event.liquidation_fee
        case OptionTrade():
            return -event.premium
        case Expiry() | Flow():
            return event.amount
        case Sale():
            return event.received
        case Charge():
            return -event.amount
        case Haircut():
            return -max(cash, 0.0) * (1.0 - event.kept)
