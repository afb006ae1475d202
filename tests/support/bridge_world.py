"""A venue behind a bridge, both on one chain (in-process or a node), and the moves that tests make across it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from venue_world import BUY_AT_ANY_PRICE, SELL_AT_ANY_PRICE, VenueWorld

from keeper.chain.contract import Receipt
from keeper.chain.deployment import Deployment
from keeper.chain.evm import Evm
from keeper.chain.messages import Kind, RemoteState, Status
from keeper.units import WAD, to_usdc, to_wad

MIN_DELAY, LIFETIME, MAX_AGE = 60, 600, 900


@dataclass(frozen=True, slots=True)
class Message:
    """`IDelayedBridge.Message`, raw."""

    kind: int
    status: int
    account: str
    not_before: int
    sent_at: int
    expires_at: int
    amount: int
    size: int
    acceptable_price: int


@dataclass
class BridgeWorld:
    """The venue is the remote side; the home side needs nothing but the token."""

    token_kind: str = "TestToken"
    settings: tuple[int, int, int] = (MIN_DELAY, LIFETIME, MAX_AGE)
    evm: Evm = field(default_factory=Evm)
    venue: VenueWorld = field(init=False)

    def __post_init__(self) -> None:
        self.venue = VenueWorld(token_kind=self.token_kind, evm=self.evm)
        self.token, self.house = self.venue.token, self.venue.house
        self.relayer = self.evm.account("relayer")
        parts = (self.house.address, self.venue.perp.address, self.venue.admin)
        self.bridge = self.evm.deploy("DelayedBridge", *parts, self.settings)
        self.bridge.send("grantRole", self.bridge.call("RELAYER"), self.relayer, sender=self.venue.admin)

    def account(self, role: str) -> str:
        return self.venue.account(role)

    @property
    def deployment(self) -> Deployment:
        """As much of one as a relayer asks for."""
        return Deployment(self.evm.chain_id, 0, {"DelayedBridge": self.bridge.address}, {}, {}, {})

    # -- at home ------------------------------------------------------------------------------------------------------

    def send_collateral(self, role: str, dollars: float) -> int:
        owner, amount = self.account(role), to_usdc(dollars)
        self.token.send("mint", owner, amount)
        self.token.send("approve", self.bridge.address, amount, sender=owner)
        return self._sent(owner, "sendCollateral", amount)

    def order(self, role: str, size: float, limit: float | None = None) -> int:
        anything = BUY_AT_ANY_PRICE if size > 0 else SELL_AT_ANY_PRICE
        acceptable = anything if limit is None else to_wad(limit)
        return self._sent(self.account(role), "commit", to_wad(size), acceptable)

    def recall(self, role: str, dollars: float) -> int:
        return self._sent(self.account(role), "recall", to_usdc(dollars))

    def cancel(self, role: str) -> int:
        return self._sent(self.account(role), "cancelOrder")

    def _sent(self, sender: str, function: str, *arguments: Any) -> int:
        (sent,) = self.bridge.send(function, *arguments, sender=sender).events("MessageSent")
        return int(sent["id"])

    def claim(self, role: str) -> int:
        (claimed,) = self.bridge.send("claim", self.account(role), sender=self.account(role)).events("Claimed")
        return int(claimed["amount"])

    def value(self, role: str) -> int:
        return int(self.bridge.call("valueOf", self.account(role)))

    def claimable(self, role: str) -> int:
        return int(self.bridge.call("claimable", self.account(role)))

    def size(self, role: str) -> int:
        return int(self.bridge.call("netSize", self.account(role)))

    def pending(self, role: str) -> int:
        return int(self.bridge.call("pendingSize", self.account(role)))

    def heard(self, role: str) -> RemoteState:
        return RemoteState(*self.bridge.call("lastReport", self.account(role)))

    # -- on the way ---------------------------------------------------------------------------------------------------

    def message(self, number: int) -> Message:
        return Message(*self.bridge.call("message", number))

    def last_message(self) -> int:
        return int(self.bridge.call("lastMessage"))

    def deliver(self, number: int) -> Receipt:
        return self.bridge.send("deliver", number, sender=self.relayer)

    def arrive(self, number: int) -> Status:
        """Wait until a message may be delivered, with a fresh price, and deliver it."""
        wait = max(self.message(number).not_before - self.evm.timestamp, 0)
        if wait:
            self.venue.move(self.venue.price() / WAD, wait)
        self.deliver(number)
        return Status(self.message(number).status)

    def expire(self, number: int) -> Receipt:
        return self.bridge.send("expire", number, sender=self.account("stranger"))

    def on_the_way(self, *kinds: Kind) -> list[int]:
        """Messages that are neither delivered nor expired, oldest first."""
        numbers = range(1, self.last_message() + 1)
        found = [(number, self.message(number)) for number in numbers]
        return [n for n, m in found if m.status == Status.SENT and (not kinds or m.kind in kinds)]

    def calm_down(self) -> None:
        """Deliver until nothing is on its way."""
        for number in range(1, 1_000):
            if number > self.last_message():
                return
            if self.message(number).status == Status.SENT:
                self.arrive(number)

    # -- over there ---------------------------------------------------------------------------------------------------

    def hand(self, role: str) -> str:
        return str(self.bridge.call("remoteAccount", self.account(role)))

    def report(self, role: str) -> int:
        return self._sent(self.account("stranger"), "report", self.account(role))

    def settle(self, role: str, price: float | None = None) -> bool:
        """Settle the order over there at its benchmark, published now if there is none yet."""
        feed, benchmark = self.venue.feed, int(self.venue.perp.call("benchmarkTime", self.hand(role)))
        if feed.call("peek")[1] < benchmark:
            wait = max(benchmark - self.evm.timestamp, 1)
            self.venue.move(self.venue.price() / WAD if price is None else price, wait)
        hint = int(feed.call("roundAt", benchmark - 1)) + 1
        return bool(self.venue.settle(self.hand(role), hint).events("OrderSettled"))

    def balance(self, address: str) -> int:
        return int(self.token.call("balanceOf", address))


def opened(**settings: Any) -> BridgeWorld:
    """A trader with 100,000 over there, known at home."""
    world = BridgeWorld(**settings)
    world.arrive(world.send_collateral("trader", 100_000))
    world.calm_down()
    return world
