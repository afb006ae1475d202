"""The keeper's eyes: one lens call for a vault at the newest block, decoded into a `Snapshot`.

Everything that a decision may use comes in that one `eth_call`, so it all belongs to one block. On a chain that moves
only when told to, the answer is kept until the next head: whoever asks again for the same block asks nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from keeper.chain.abi import interface_of
from keeper.chain.contract import Backend, Contract
from keeper.chain.deployment import Deployment
from keeper.chain.evm import Evm
from keeper.chain.rpc import Rpc, RpcBackend
from keeper.chain.watch import OrderWatch
from keeper.chain.words import decoder_of
from keeper.errors import ChainError
from keeper.state.ports import Head
from keeper.state.snapshot import (
    Account,
    Block,
    Holding,
    MandateLimits,
    PendingOrder,
    PriceView,
    Snapshot,
    SurfaceState,
    VaultView,
    Venue,
    VenueParameters,
    VolSlice,
)
from keeper.units import SECONDS_PER_YEAR, from_wad, to_wad

Follower = Callable[[Head, Iterable[Mapping[str, Any]]], None]
"""Somebody who is told of a new head and of all logs of its block."""


class LensReader:
    """Implements the port `keeper.state.ports.Reader` over any engine.

    ``keeper`` is the account whose budget the snapshot shows: the hedger of the deployment unless another is given.
    """

    def __init__(self, backend: Backend, deployment: Deployment, keeper: str | None = None) -> None:
        self.deployment = deployment
        self._backend = backend
        self._keeper = keeper or deployment.address("hedger")
        self._lens = deployment.address("VaultLens")
        self._question = interface_of("VaultLens").function("snapshot", 2)
        self._decode = decoder_of(self._question.outputs[0])
        self._feed = deployment.contract(backend, "PriceFeed")
        self._options = deployment.contract(backend, "OptionMarket")
        self._watch: OrderWatch | None = None
        self._head: int | None = None
        self._seen: dict[str, Snapshot] = {}
        self._followers: list[Follower] = []

    def share_logs(self, follower: Follower) -> None:
        """Tell somebody else too of every new head and its logs."""
        self._followers.append(follower)

    def new_head(self, head: Head, logs: Iterable[Mapping[str, Any]] | None = None) -> None:
        """Keep what is read from now on until the next head.

        Never called on a chain that moves by itself: there the newest block is always another one. ``logs`` are all
        those of the head's block, where the caller has them; None where it does not.
        """
        if head.number != self._head:
            self._head = head.number
            self._seen.clear()
            if logs is None:
                return
            known = list(logs)
            if self._watch is not None:
                self._watch.follow(head, known)
            for follower in self._followers:
                follower(head, known)

    def preload(self, vaults: Iterable[str]) -> None:
        """Read several vaults at the head in one exchange, for `snapshot` to find."""
        if not isinstance(self._backend, RpcBackend):
            return
        names = list(vaults)
        questions = [self._question.encode((self.deployment.vault(name).address, self._keeper)) for name in names]
        requests = [("eth_call", ({"to": self._lens, "data": "0x" + data.hex()}, "latest")) for data in questions]
        for name, answer in zip(names, self._backend.rpc.batch(requests), strict=True):
            self._seen[name] = to_snapshot(name, self._decode(bytes.fromhex(answer[2:])))

    async def snapshot(self, vault: str) -> Snapshot:
        """The vault at the newest block, in one call."""
        if vault in self._seen:
            return self._seen[vault]
        address = self.deployment.vault(vault).address
        answer = self._backend.call(self._lens, self._question.encode((address, self._keeper)))
        snapshot = to_snapshot(vault, self._decode(answer))
        if self._head is not None:
            self._seen[vault] = snapshot
        return snapshot

    async def head(self) -> Block:
        """The newest block."""
        if isinstance(self._backend, RpcBackend):
            return newest_block(self._backend.rpc, self.deployment.chain_id)
        if isinstance(self._backend, Evm):
            evm = self._backend
            return Block(evm.block_number, evm.timestamp, evm.base_fee, "0x" + "0" * 64, evm.chain_id)
        raise ChainError(f"cannot ask a {type(self._backend).__name__} for its head")

    async def latest_price(self) -> tuple[float, int, int]:
        """Newest price in USD, when it was published, and its round; zeros before the first."""
        price, updated_at, round_id = self._feed.call("peek")
        return from_wad(price), updated_at, round_id

    async def first_rounds_from(self, times: Iterable[int]) -> Mapping[int, int]:
        """The first price round at or after each time: the benchmark of orders. Times without one yet are left out."""
        _, updated_at, _ = await self.latest_price()
        return {time: self._feed.call("roundAt", time - 1) + 1 for time in sorted(times) if time <= updated_at}

    async def round_in_force(self, time: int) -> int | None:
        """The price round in force at ``time``; None before the first."""
        return self._feed.call("roundAt", time) or None

    async def pending_orders(self, head: Head) -> Mapping[str, PendingOrder]:
        """Orders in flight on the perpetual venue by account, as of a head, in one request for logs."""
        if not isinstance(self._backend, RpcBackend):
            raise ChainError(f"a {type(self._backend).__name__} keeps no logs to find orders in")
        if self._watch is None:
            self._watch = OrderWatch(self._backend.rpc, self.deployment)
        return self._watch.pending(head)

    async def quote(self, maker: str, series_id: int, size: float) -> float:
        """Premium in USD that the maker at an address asks for ``size`` units of a listed series."""
        premium, _, _ = self._options.call("quote", maker, series_id, to_wad(size))
        return from_wad(premium)

    async def is_listed(self, series_id: int) -> bool:
        """Whether a series may be traded."""
        return bool(self._options.call("isListed", series_id))


class VenueOrders:
    """Orders in flight on the venue of another clearinghouse of the deployment, for its settler."""

    def __init__(self, reader: LensReader, rpc: Rpc, house: str) -> None:
        self._reader = reader
        self._watch = OrderWatch(rpc, reader.deployment, house)

    async def pending_orders(self, head: Head) -> Mapping[str, PendingOrder]:
        """Orders in flight by account, as of a head, in one request for logs."""
        return self._watch.pending(head)

    async def first_rounds_from(self, times: Iterable[int]) -> Mapping[int, int]:
        """The first price round at or after each time: all venues read the same feed."""
        return await self._reader.first_rounds_from(times)


class WrappedAggregator:
    """The aggregator behind a price feed that copies one."""

    def __init__(self, backend: Backend, deployment: Deployment, address: str) -> None:
        self._aggregator = Contract.at(backend, "AggregatorV3Interface", address)
        self._feed = deployment.contract(backend, "PriceFeed")

    async def has_news(self) -> bool:
        """Whether it has a round that the feed has not copied."""
        _, _, _, updated_at, _ = self._aggregator.call("latestRoundData")
        return bool(updated_at > self._feed.call("peek")[1])


def wrapped_aggregator(backend: Backend, deployment: Deployment) -> WrappedAggregator | None:
    """The aggregator that the deployment's feed copies, or None where it has rounds of its own."""
    source = deployment.contract(backend, "PriceFeed").call("source")
    return None if int(source, 16) == 0 else WrappedAggregator(backend, deployment, source)


def newest_block(rpc: Rpc, chain_id: int) -> Block:
    """The newest block of a node, in one request."""
    found = rpc.call("eth_getBlockByNumber", "latest", False)
    base_fee = int(found.get("baseFeePerGas") or "0x0", 16)
    return Block(int(found["number"], 16), int(found["timestamp"], 16), base_fee, found["parentHash"], chain_id)


def to_snapshot(vault: str, seen: tuple[Any, ...]) -> Snapshot:
    """What the lens answered (`IVaultLens.Snapshot`) as a `Snapshot`."""
    block, price, slices, holdings, venues, account, state, limits, budget_left = seen
    number, timestamp, base_fee, parent_hash, chain_id = block
    return Snapshot(
        vault=vault,
        block=Block(number, timestamp, base_fee, "0x" + parent_hash.hex(), chain_id),
        price=PriceView(from_wad(price[0]), price[1], price[2], price[3]),
        slices=tuple(_slice(part) for part in slices),
        holdings=tuple(_holding(held) for held in holdings),
        venues=tuple(_venue(venue) for venue in venues),
        account=Account(*map(from_wad, account)),
        state=VaultView(*map(from_wad, state)),
        limits=_limits(limits, budget_left),
    )


def _slice(part: tuple[Any, ...]) -> VolSlice:
    expiry, theta, rho_psi, psi, reported_at, state = part
    return VolSlice(expiry, from_wad(theta), from_wad(rho_psi), from_wad(psi), reported_at, SurfaceState(state))


def _holding(held: tuple[Any, ...]) -> Holding:
    series_id, expiry, strike, is_call, size, vol, forward, variance_time, *rest = held
    return Holding(
        series_id, expiry, from_wad(strike), is_call, from_wad(size), from_wad(vol), from_wad(forward),
        variance_time / SECONDS_PER_YEAR, *map(from_wad, rest),
    )  # fmt: skip


def _venue(venue: tuple[Any, ...]) -> Venue:
    address, parameters, position, pending, skew, long, short, rate, pnl, funding, last_fill, reward = venue
    size, entry_price, _ = position
    return Venue(
        address=address,
        parameters=_parameters(parameters),
        size=from_wad(size),
        entry_price=from_wad(entry_price),
        pending=_pending(pending),
        skew=from_wad(skew),
        long_open_interest=from_wad(long),
        short_open_interest=from_wad(short),
        funding_rate_per_day=from_wad(rate),
        unrealised_pnl=from_wad(pnl),
        accrued_funding=from_wad(funding),
        last_fill_time=last_fill,
        settlement_reward=from_wad(reward),
    )


def _parameters(values: tuple[int, ...]) -> VenueParameters:
    """Fractions and coins to floats; seconds and gas stay integers, the base fee's ceiling is wei."""
    arguments: list[Any] = [*map(from_wad, values[:16]), *values[16:20], float(values[20])]
    return VenueParameters(*arguments)


def _limits(values: tuple[int, ...], budget_left: int) -> MandateLimits:
    """Coins and fractions to floats; the cooldown stays in seconds."""
    arguments: list[Any] = [*map(from_wad, values[:6]), values[6], from_wad(budget_left)]
    return MandateLimits(*arguments)


def _pending(order: tuple[int, int, int, int]) -> PendingOrder | None:
    """`IPerpMarket.Order`, or None when there is none."""
    size, acceptable_price, committed_at, order_id = order
    return None if size == 0 else PendingOrder(order_id, from_wad(size), from_wad(acceptable_price), committed_at)


def as_head(block: Block) -> Head:
    """What the roles are told of a block."""
    return Head(block.number, block.timestamp, block.base_fee)
