"""A liquidator's eyes: which accounts there are, which have changed, and many of them in one lens call.

Accounts are learnt from the logs of the clearinghouse and its markets, each block read once. The lens answers for a
bounded number of accounts; a chunk that is too heavy for one call is halved until it fits.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from keeper.chain.abi import Revert, decode_event, interface_of
from keeper.chain.contract import Backend, Contract
from keeper.chain.deployment import HOME, Deployment
from keeper.chain.logs import LogCursor, RawLog
from keeper.chain.rpc import RpcBackend, log_from_json
from keeper.chain.words import decoder_of
from keeper.errors import ChainError
from keeper.state.accounts import AccountView, AuctionView, HouseView, MarketView, PerpPosition, Probe, Sight
from keeper.state.ports import Head
from keeper.units import from_wad

NO_ADDRESS: Final = "0x" + "0" * 40
CHUNK: Final = 32
"""Accounts in one lens call; the lens takes 64."""

TOUCHED: Final[Mapping[str, tuple[str, ...]]] = {
    "Deposited": ("account",),
    "Withdrawn": ("account",),
    "OrderCommitted": ("account",),
    "OrderSettled": ("account",),
    "OrderCancelled": ("account",),
    "PositionClosed": ("account",),
    "PositionMoved": ("from", "to"),
    "PositionDeleveraged": ("account",),
    "Traded": ("taker", "maker"),
    "SeriesSettled": ("account",),
    "TakenOver": ("from", "to"),
    "AuctionStarted": ("account",),
    "AuctionInsolvent": ("account",),
    "AuctionEnded": ("account",),
    "AuctionBid": ("account", "bidder"),
}
"""Events after which an account is another one than before, and where they name it."""
_TOUCH_ALL: Final = ("BadDebtSocialised", "ParametersSet")
"""Events that change what everybody has or needs."""
_SOURCES: Final = ("Clearinghouse", "PerpMarket", "OptionMarket", "DutchAuctionLiquidation")


@dataclass(frozen=True, slots=True)
class Changes:
    """Accounts that may be others than when they were last read; ``everything``: all of them."""

    accounts: frozenset[str]
    everything: bool = False


class AccountWatch:
    """All accounts that ever could hold a position, and which of them the newest blocks have touched."""

    def __init__(self, backend: Backend, deployment: Deployment, house: str = HOME) -> None:
        self.known: dict[str, None] = {}  # a set that keeps its order
        self._ours = set(deployment.contracts.values())
        self._touched: set[str] = set()
        self._everything = False
        self._cursor: LogCursor | None = None
        if not isinstance(backend, RpcBackend):
            return
        names = [house + name for name in _SOURCES if house + name in deployment.contracts]
        addresses = [deployment.contracts[name] for name in names]
        events = {
            name: each for source in names for name, each in interface_of(source.removeprefix(house)).events.items()
        }
        topics = ["0x" + events[name][0].topic.hex() for name in (*TOUCHED, *_TOUCH_ALL) if name in events]
        self._cursor = LogCursor(backend.rpc, addresses, topics, deployment.block)

    @property
    def caught_up(self) -> bool:
        """Whether the whole history is known; until then there may be accounts that nobody watches."""
        return self._cursor is None or self._cursor.caught_up

    def add(self, accounts: Iterable[str]) -> None:
        """Accounts known from elsewhere."""
        self.known.update(dict.fromkeys(accounts))

    def changes(self, head: Head) -> Changes:
        """What happened since the last look. Without logs (in-process EVM) anything may have."""
        if self._cursor is None:
            return Changes(frozenset(), everything=True)
        self._take(self._cursor.read(head))
        changes = Changes(frozenset(self._touched), self._everything)
        self._touched, self._everything = set(), False
        return changes

    def follow(self, head: Head, logs: Iterable[RawLog]) -> None:
        """All logs of the block of ``head``, from whoever has them already: `changes` need not ask for them."""
        if self._cursor is not None:
            self._take(self._cursor.follow(head, logs))

    def _take(self, logs: Iterable[RawLog]) -> None:
        for raw in logs:
            log = log_from_json(raw)
            name, told = decode_event(log.topics, log.data) or ("", {})
            self._everything |= name in _TOUCH_ALL
            for account in (told[field] for field in TOUCHED.get(name, ())):
                if account not in self._ours:
                    self._touched.add(account)
                    self.known[account] = None


class AccountsReader:
    """Reads accounts of one clearinghouse of a deployment through its lens, on any engine."""

    def __init__(self, backend: Backend, deployment: Deployment, house: str = HOME) -> None:
        self.watch = AccountWatch(backend, deployment, house)
        self._backend = backend
        self._lens = deployment.address("AccountLens")
        self._question = interface_of("AccountLens").function("look", 4)
        self._decode = decoder_of(self._question.outputs[0])
        contracts = deployment.contracts
        self._house = contracts[house + "Clearinghouse"]
        self.markets = [contracts[house + "PerpMarket"]] if house + "PerpMarket" in contracts else []
        self._options = contracts.get(house + "OptionMarket", NO_ADDRESS)
        self._names = deployment.interfaces()

    async def look(self, accounts: Collection[str]) -> Sight:
        """These accounts now, in the order given; with none, only the house and its markets."""
        wanted = list(accounts)
        chunks = [wanted[start : start + CHUNK] for start in range(0, len(wanted), CHUNK)] or [[]]
        sights = [sight for chunk in chunks for sight in self._look(chunk)]
        return Sight(sights[0].house, sights[0].markets, tuple(view for sight in sights for view in sight.accounts))

    def _look(self, chunk: Sequence[str]) -> Iterator[Sight]:
        data = self._question.encode((self._house, self.markets, self._options, list(chunk)))
        try:
            yield to_sight(self._decode(self._backend.call(self._lens, data)))
        except ChainError as error:
            if len(chunk) < 2 or (isinstance(error, Revert) and error.name == "Locked"):
                raise
            middle = len(chunk) // 2
            yield from self._look(chunk[:middle])
            yield from self._look(chunk[middle:])

    async def probe(self, to: str, function: str, arguments: Sequence[Any], sender: str) -> Probe:
        """What a transaction would do in the newest block, without sending it."""
        target = Contract.at(self._backend, self._names[to], to)
        try:
            result = target.call(function, *arguments, sender=sender)
        except Revert as refusal:
            return Probe((), refusal.name)
        return Probe(result if isinstance(result, tuple) else (result,), "")

    async def gas(self, to: str, function: str, arguments: Sequence[Any], sender: str) -> int:
        """Gas that a transaction would use in the newest block; 0 where the engine cannot say."""
        if not isinstance(self._backend, RpcBackend):
            return 0
        data = Contract.at(self._backend, self._names[to], to).encode(function, *arguments)
        request = {"from": sender, "to": to, "data": "0x" + data.hex()}
        return int(self._backend.rpc.call("eth_estimateGas", request), 16)


def to_sight(seen: tuple[Any, ...]) -> Sight:
    """What the lens answered (`IAccountLens.Sight`)."""
    house, markets, accounts, positions = seen
    width = len(markets)
    return Sight(
        _house(house),
        tuple(_market(market) for market in markets),
        tuple(_account(each, positions[i * width : (i + 1) * width]) for i, each in enumerate(accounts)),
    )


def _house(seen: tuple[int, ...]) -> HouseView:
    number, timestamp, base_fee, price, updated_at, heartbeat, bad_debt, recorded, adl_until, *ratios = seen
    return HouseView(
        number, timestamp, base_fee, from_wad(price), updated_at, heartbeat, from_wad(bad_debt), from_wad(recorded),
        adl_until, *map(from_wad, ratios),
    )  # fmt: skip


def _market(seen: tuple[Any, ...]) -> MarketView:
    address, skew, long, short, side, *rest, max_base_fee = seen
    amounts = map(from_wad, rest)
    return MarketView(address, from_wad(skew), from_wad(long), from_wad(short), side, *amounts, float(max_base_fee))


def _account(seen: tuple[Any, ...], positions: Iterable[tuple[int, ...]]) -> AccountView:
    address, readable, holds, cash, equity, initial, maintenance, engine, units, value, delta, closing, *auction = seen
    started_at, insolvent_at, max_fraction, paid_for_all = auction
    running = AuctionView(started_at, insolvent_at, from_wad(max_fraction), from_wad(paid_for_all))
    return AccountView(
        address, readable, holds, *map(from_wad, (cash, equity, initial, maintenance)), engine,
        *map(from_wad, (units, value, delta, closing)),
        tuple(PerpPosition(*map(from_wad, held[:5]), held[5], held[0]) for held in positions),
        running if started_at else None,
    )  # fmt: skip
