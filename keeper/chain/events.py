"""Logs of the chain as the events that the accounting understands.

Some facts of one event are spread over several logs of its transaction: the reward of a cancelled order is only in the
clearinghouse's transfer, the liquidator's fee only in the engine's log. They are put together here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from keeper.chain.abi import decode_event
from keeper.chain.deployment import ENGINES, Deployment, contract_of
from keeper.chain.rpc import Rpc, log_from_json, quantity
from keeper.state.events import EVERYBODY, Charge, Event, Expiry, Fill, Flow, Haircut, OptionTrade, Sale
from keeper.units import from_usdc, from_wad

KEEPER_REWARD: Final = b"keeper reward".ljust(32, b"\0")
FULL_INDEX: Final = 10**27
"""The clearinghouse's haircut index before anything was socialised."""
_SOURCES: Final = ("Clearinghouse", "PerpMarket", "OptionMarket", "Waterfall", *ENGINES)


@dataclass(frozen=True, slots=True)
class _Log:
    """A decoded log with its place on the chain."""

    block_number: int
    timestamp: int
    transaction: str
    address: str
    name: str
    parameters: Mapping[str, Any]


def decode(
    deployment: Deployment, logs: Iterable[Mapping[str, Any]], timestamps: Mapping[int, int] | None = None
) -> list[Event]:
    """Events of raw JSON-RPC logs, in order. ``timestamps`` by block number, where the logs do not tell."""
    return EventDecoder(deployment).decode(logs, timestamps)


def read_events(rpc: Rpc, deployment: Deployment, from_block: int, to_block: int) -> list[Event]:
    """Events of a range of blocks, both ends included, in one request."""
    addresses = [address for name, address in deployment.contracts.items() if contract_of(name) in _SOURCES]
    wanted = {"fromBlock": quantity(from_block), "toBlock": quantity(to_block), "address": addresses}
    return decode(deployment, rpc.call("eth_getLogs", wanted))


class EventDecoder:
    """Decodes logs as they come; it remembers what is told once: settlement prices, and the haircut index."""

    def __init__(self, deployment: Deployment) -> None:
        self._ours = {address.lower() for address in deployment.contracts.values()}
        self._house = deployment.address("Clearinghouse")
        self._settlement_prices: dict[int, float] = {}
        self._haircut_index = FULL_INDEX

    def decode(self, logs: Iterable[Mapping[str, Any]], timestamps: Mapping[int, int] | None = None) -> list[Event]:
        """Events of these logs, in order."""
        events: list[Event] = []
        transaction, first = "", 0
        cancelled: dict[str, _Log] = {}
        for raw in logs:
            log = self._read(raw, timestamps or {})
            if log is None:
                continue
            if log.transaction != transaction:
                transaction, first, cancelled = log.transaction, len(events), {}
            if log.name == "OrderCancelled":
                cancelled[log.parameters["account"]] = log
            elif log.name == "CashMoved":
                events.extend(_reward_of_cancelled(log, cancelled))
            elif log.name == "Liquidated":
                _add_liquidation_fee(events, first, log)
            else:
                events.extend(self._event(log))
        return events

    def _read(self, raw: Mapping[str, Any], timestamps: Mapping[int, int]) -> _Log | None:
        if raw["address"].lower() not in self._ours:
            return None
        log = log_from_json(raw)
        decoded = decode_event(log.topics, log.data)
        if decoded is None:
            return None
        number = int(raw["blockNumber"], 16)
        told = raw.get("blockTimestamp")
        timestamp = timestamps[number] if number in timestamps else int(told, 16) if told else 0
        return _Log(number, timestamp, raw["transactionHash"], log.address, *decoded)

    def _event(self, log: _Log) -> list[Event]:
        match log.name:
            case "OrderSettled" | "PositionClosed":
                return [_fill(log)]
            case "Traded":
                return _trade(log)
            case "ExpiryFixed":
                self._settlement_prices[log.parameters["expiry"]] = from_wad(log.parameters["settlementPrice"])
            case "SeriesSettled":
                return [self._expiry(log)]
            case "PositionMoved" | "PositionDeleveraged":
                return [_closed_at_index(log)]
            case "AuctionBid":
                return [_sale(log)]
            case "AuctionStarted":
                return _charge(log, "reward")
            case "Deleveraged":
                return _charge(log, "haircut")
            case "BadDebtSocialised" if log.address == self._house:
                return [self._haircut(log)]
            case "Deposited" | "Withdrawn" if log.address == self._house:
                sign = 1.0 if log.name == "Deposited" else -1.0
                amount = sign * from_usdc(log.parameters["amount"])
                return [Flow(log.block_number, log.timestamp, log.parameters["account"], amount)]
        return []

    def _haircut(self, log: _Log) -> Haircut:
        before, self._haircut_index = self._haircut_index, log.parameters["haircutIndex"]
        return Haircut(log.block_number, log.timestamp, EVERYBODY, self._haircut_index / before)

    def _expiry(self, log: _Log) -> Expiry:
        told = log.parameters
        return Expiry(
            log.block_number,
            log.timestamp,
            told["account"],
            told["seriesId"],
            from_wad(told["size"]),
            self._settlement_prices.get(told["seriesId"] >> 136, 0.0),
            from_wad(told["amount"]),
        )


def _fill(log: _Log) -> Fill:
    told = log.parameters
    return Fill(
        block_number=log.block_number,
        timestamp=log.timestamp,
        account=told["account"],
        venue=log.address,
        order_id=told.get("orderId", 0),
        size=from_wad(told["sizeDelta"]),
        fill_price=from_wad(told["fill"]),
        index_price=from_wad(told["index"]),
        fee=from_wad(told["fee"]),
        reward=from_wad(told.get("reward", 0)),
        pnl=from_wad(told["pnl"]),
        funding=from_wad(told["funding"]),
        is_liquidation=log.name == "PositionClosed",
    )


def _closed_at_index(log: _Log) -> Fill:
    """A position moved to a bidder, seen from who lost it, or one that was deleveraged: no impact and no fee."""
    told = log.parameters
    moved = log.name == "PositionMoved"
    size, price = from_wad(-told["size"] if moved else told["sizeDelta"]), from_wad(told["price"])
    where = (log.block_number, log.timestamp, told["from" if moved else "account"], log.address)
    pnl, funding = from_wad(told["pnl"]), from_wad(told["funding"])
    return Fill(*where, 0, size, price, price, fee=0.0, reward=0.0, pnl=pnl, funding=funding, is_liquidation=True)


def _sale(log: _Log) -> Sale:
    told = log.parameters
    where = (log.block_number, log.timestamp, told["account"])
    received = from_wad(told["paid"] + told["deficit"])
    return Sale(*where, from_wad(told["fraction"]), from_wad(told["price"]), received)


def _charge(log: _Log, name: str) -> list[Event]:
    amount = from_wad(log.parameters[name])
    return [Charge(log.block_number, log.timestamp, log.parameters["account"], amount)] if amount else []


def _trade(log: _Log) -> list[Event]:
    """One trade seen from both sides."""
    told = log.parameters
    size, premium, mid = from_wad(told["size"]), from_wad(told["premium"]), from_wad(told["mid"])
    where, series, vol = (log.block_number, log.timestamp), told["seriesId"], from_wad(told["vol"])
    return [
        OptionTrade(*where, told["taker"], series, size, premium, mid, vol),
        OptionTrade(*where, told["maker"], series, -size, -premium, -mid, vol),
    ]


def _reward_of_cancelled(log: _Log, cancelled: dict[str, _Log]) -> list[Event]:
    """An order that was settled but not filled still pays its keeper: a fill of no size."""
    account = log.parameters["from"]
    if log.parameters["reason"] != KEEPER_REWARD or account not in cancelled:
        return []
    order = cancelled.pop(account)
    reward, order_id = from_wad(log.parameters["amount"]), order.parameters["orderId"]
    where = (log.block_number, log.timestamp, account, order.address)
    return [Fill(*where, order_id, 0.0, 0.0, 0.0, fee=0.0, reward=reward, pnl=0.0, funding=0.0)]


def _add_liquidation_fee(events: list[Event], first: int, log: _Log) -> None:
    """The engine's reward belongs to the last position that it closed for the account, from event ``first`` on; where
    there is none, it is a charge of its own."""
    for index in range(len(events) - 1, first - 1, -1):
        event = events[index]
        if isinstance(event, Fill) and event.is_liquidation and event.account == log.parameters["account"]:
            events[index] = replace(event, liquidation_fee=from_wad(log.parameters["reward"]))
            return
    events.extend(_charge(log, "reward"))
