"""Laws of the bridge under random sends, deliveries in any order, delays, failures and expiries, with a dollar that
calls back in the middle of transfers: no money is made or lost, everything happens once, home counts everything once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bridge_world import BridgeWorld, Message
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from keeper.chain.abi import Revert
from keeper.chain.contract import Receipt
from keeper.chain.messages import Kind, RemoteState, Status
from keeper.units import WAD, to_usdc, to_wad

MIN_DELAY, LIFETIME, MAX_AGE = 20, 120, 200
USDC = 10**12
ROLES = ("trader", "other", "saver")  # the saver never trades
DEBT = to_wad(5)

roles = st.sampled_from(ROLES)
picks = st.integers(0, 10**6)
pauses = st.sampled_from([1, 5, MIN_DELAY, MIN_DELAY, LIFETIME - MIN_DELAY, LIFETIME + 1])
mischief = st.sampled_from(
    ["deliver", "expire", "report", "claim", "recall", "cancelOrder", "sendCollateral", "commit"]
)


@dataclass
class Letter:
    """A message as the test remembers it; ``moment`` counts what happened, in order."""

    kind: Kind
    role: str
    amount: int
    size: int
    not_before: int
    expires_at: int
    sent: int  # moment
    status: Status = Status.SENT
    ended: int = 0  # moment


class Crossing(RuleBasedStateMachine):
    """Both sides played on one chain; the laws hold after each step."""

    @initialize()
    def start(self) -> None:
        self.world = BridgeWorld(token_kind="MischiefToken", settings=(MIN_DELAY, LIFETIME, MAX_AGE))
        self.bridge, self.venue = self.world.bridge, self.world.venue
        self.role_of = {self.world.account(role): role for role in ROLES}
        self.bridge.send("grantRole", self.bridge.call("RELAYER"), self.world.token.address, sender=self.venue.admin)
        self.custody = self.world.balance(self.world.house.address)
        self.letters: dict[int, Letter] = {}
        self.paid_in = dict.fromkeys(ROLES, 0)
        self.claimed = dict.fromkeys(ROLES, 0)
        self.moment = 0
        self.arriving = 0
        self.reports = {0: RemoteState(0, 0, 0, 0, 0, 0, 0, 0)}
        self.newest_heard = dict.fromkeys(ROLES, 0)
        self.locked = False
        for role in ROLES[:2]:
            self.send(role, 30_000)
        self.carry_all(0, False)

    # -- what happens -------------------------------------------------------------------------------------------------

    def attempt(self, allowed: set[str], action: Any, *arguments: Any) -> bool:
        """Whether the action went through; a refusal must be one that the situation can explain."""
        self.moment += 1
        try:
            outcome = action(*arguments)
        except Revert as revert:
            if revert.name not in allowed:
                raise
            return False
        if isinstance(outcome, Receipt):
            self.take_down(outcome)
        else:
            self.note(self.world.last_message())
        return True

    def take_down(self, receipt: Receipt) -> None:
        for sent in receipt.events("MessageSent"):
            self.note(sent["id"])

    def note(self, number: int) -> None:
        """Remember a new message."""
        if number == 0 or number in self.letters:
            return
        m = self.world.message(number)
        role = self.role_of[m.account]
        self.letters[number] = Letter(Kind(m.kind), role, m.amount, m.size, m.not_before, m.expires_at, self.moment)
        if m.kind == Kind.REPORT:
            self.check_report(number, role)

    def check_report(self, number: int, role: str) -> None:
        """A report says what is true when it leaves, and the totals of what has arrived and left by then."""
        newest, raw = self.bridge.call("newestReport", self.world.account(role))
        told, hand, perp = RemoteState(*raw), self.world.hand(role), self.venue.perp
        self.reports[number] = told
        mine = {n: letter for n, letter in self.letters.items() if letter.role == role and n < number}
        arrived = [n for n, letter in mine.items() if letter.status in (Status.DELIVERED, Status.FAILED)]
        arrived += [self.arriving] if self.arriving in mine else []
        assert (newest, told.time) == (number, self.now)
        assert (told.size, told.pending) == (perp.call("netSize", hand), perp.call("pendingSize", hand))
        assert told.equity == self.venue.margin(hand)[0]
        assert told.received == sum(mine[n].amount for n in arrived if mine[n].kind is Kind.COLLATERAL)
        assert told.returned == sum(letter.amount for letter in mine.values() if letter.kind is Kind.RETURN)
        assert told.last_order == max((n for n in arrived if mine[n].kind is Kind.ORDER), default=0)

    def open_letters(self) -> list[int]:
        return [number for number, letter in self.letters.items() if letter.status is Status.SENT]

    def pick(self, choice: int) -> int:
        numbers = self.open_letters()
        return numbers[choice % len(numbers)]

    @property
    def now(self) -> int:
        return self.world.evm.timestamp

    # -- at home ------------------------------------------------------------------------------------------------------

    @rule(role=roles, dollars=st.integers(1, 50_000))
    def send(self, role: str, dollars: int) -> None:
        self.attempt(set(), self.world.send_collateral, role, dollars)
        self.paid_in[role] += to_usdc(dollars)

    @rule(role=st.sampled_from(ROLES[:2]), coins=st.integers(-20, 20).filter(bool))
    def order(self, role: str, coins: int) -> None:
        self.attempt({"OrderInFlight", "ReportTooOld"}, self.world.order, role, coins)

    @rule(role=st.sampled_from(ROLES[:2]), coins=st.integers(-20, 20).filter(bool), told=st.booleans())
    def hedge(self, role: str, coins: int, told: bool) -> None:
        """An order that arrives and fills, and maybe is told of."""
        self.order(role, coins)
        self.carry_all(0, False)
        self.settle(role)
        if told:
            self.report(role)
            self.carry_all(0, False)

    @rule(role=roles, dollars=st.integers(1, 80_000))
    def recall(self, role: str, dollars: int) -> None:
        self.attempt(set(), self.world.recall, role, dollars)

    @rule(role=roles)
    def cancel(self, role: str) -> None:
        self.attempt(set(), self.world.cancel, role)

    @rule(role=roles)
    def claim(self, role: str) -> None:
        before = self.world.claimable(role)
        if self.attempt({"ZeroAmount"}, self.world.claim, role):
            self.claimed[role] += before

    # -- on the way ---------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.open_letters())
    @rule(choice=picks)
    def deliver(self, choice: int) -> None:
        number = self.pick(choice)
        letter = self.letters[number]
        in_time = letter.not_before <= self.now <= letter.expires_at
        refusals = set() if in_time else {"TooEarly" if self.now < letter.not_before else "Expired"}
        self.arriving = number
        assert self.attempt(refusals, self.world.deliver, number) is in_time
        self.arriving = 0
        if not in_time:
            return
        letter.status, letter.ended = Status(self.world.message(number).status), self.moment
        if letter.kind is Kind.REPORT:
            self.newest_heard[letter.role] = max(self.newest_heard[letter.role], number)
        if letter.kind in (Kind.RETURN, Kind.REPORT):
            assert letter.status is Status.DELIVERED
        if letter.kind is Kind.COLLATERAL:
            assert (letter.status is Status.FAILED) is self.locked

    @rule(change=st.integers(-20, 20), backwards=st.booleans())
    def carry_all(self, change: int, backwards: bool) -> None:
        """A delay later, everything that may arrive does, in order or against it."""
        self.wait(MIN_DELAY, change, fresh=True)
        for number in sorted(self.open_letters(), reverse=backwards):
            self.deliver(self.open_letters().index(number))

    @precondition(lambda self: self.open_letters())
    @rule(choice=picks, seconds=st.integers(-5, LIFETIME))
    def delay(self, choice: int, seconds: int) -> None:
        number = self.pick(choice)
        letter = self.letters[number]
        until = letter.not_before + seconds
        send = lambda: self.bridge.send("delay", number, until, sender=self.world.relayer)  # noqa: E731
        if self.attempt({"BadSetting"}, send):
            assert letter.not_before <= until <= letter.expires_at
            letter.not_before = until

    @rule(backwards=st.booleans())
    def lapse(self, backwards: bool) -> None:
        """Nobody carries anything until it is too late."""
        self.wait(LIFETIME + 1, fresh=True)
        for number in sorted(self.open_letters(), reverse=backwards):
            self.expire(self.open_letters().index(number))

    @precondition(lambda self: self.open_letters())
    @rule(choice=picks)
    def expire(self, choice: int) -> None:
        number = self.pick(choice)
        letter = self.letters[number]
        late = self.now > letter.expires_at
        assert self.attempt(set() if late else {"NotExpired"}, self.world.expire, number) is late
        if late:
            letter.status, letter.ended = Status.EXPIRED, self.moment

    @rule(choice=picks, function=st.sampled_from(["deliver", "expire"]))
    def again(self, choice: int, function: str) -> None:
        """What has ended once never ends again."""
        ended = [number for number, letter in self.letters.items() if letter.status is not Status.SENT]
        if ended:
            send = lambda: self.bridge.send(function, ended[choice % len(ended)], sender=self.world.relayer)  # noqa: E731
            assert not self.attempt({"NotOnItsWay"}, send)

    # -- over there ---------------------------------------------------------------------------------------------------

    @rule(seconds=pauses, change=st.integers(-20, 20), fresh=st.booleans())
    def wait(self, seconds: int, change: int = 0, fresh: bool = False) -> None:
        if fresh:
            self.venue.move(max(self.venue.price() / WAD + change, 1_000.0), seconds)
        else:
            self.world.evm.advance(seconds)

    @rule(role=st.sampled_from(ROLES[:2]))
    def settle(self, role: str) -> None:
        if self.venue.perp.call("pendingSize", self.world.hand(role)):
            self.world.settle(role)
            assert self.venue.perp.call("pendingSize", self.world.hand(role)) == 0

    @rule(role=roles)
    def report(self, role: str) -> None:
        self.attempt({"NoRemoteAccount"}, self.world.report, role)

    @rule(role=roles, dollars=st.integers(1, 50_000), choice=picks)
    def deliver_while_the_house_is_locked(self, role: str, dollars: int, choice: int) -> None:
        """Collateral and one message more arrive where nothing can be done."""
        self.send(role, dollars)
        self.wait(MIN_DELAY, fresh=True)
        self.venue.as_module("lock")
        self.locked = True
        self.deliver(len(self.open_letters()) - 1)
        if self.open_letters():
            self.deliver(choice)
        assert not self.attempt({"NoRemoteAccount", "Locked"}, self.world.report, role)
        self.venue.as_module("unlock")
        self.locked = False

    @precondition(lambda self: self.open_letters())
    @rule(choice=picks)
    def deliver_while_withdrawals_are_blocked(self, choice: int) -> None:
        house = self.world.house.address
        self.venue.hand_over(house, "bank", DEBT)
        letter = self.letters[self.pick(choice)]
        self.deliver(choice)
        assert (letter.kind, letter.status) != (Kind.RECALL, Status.DELIVERED)
        self.venue.hand_over("bank", house, DEBT)

    # -- mischief -----------------------------------------------------------------------------------------------------

    @rule(role=roles, function=mischief, choice=picks, arriving=st.booleans())
    def reenter(self, role: str, function: str, choice: int, arriving: bool) -> None:
        """The dollar, a relayer itself, calls the bridge in the middle of a transfer: every way in is shut."""
        number = self.pick(choice) if self.open_letters() else 1
        arguments = {"report": [self.world.account(role)], "claim": [self.world.relayer], "commit": [1, 0]}
        arguments |= {"deliver": [number], "expire": [number], "recall": [1], "sendCollateral": [1], "cancelOrder": []}
        attempts = self.world.token.call("attempts")
        arm = ("arm", self.bridge.address, self.bridge.encode(function, *arguments[function]))
        self.world.token.send(*arm)
        if arriving and self.open_letters():
            self.deliver(choice)
        if self.world.token.call("attempts") == attempts:
            self.send(role, 1)
        assert self.world.token.call("attempts") == attempts + 1
        assert self.world.token.call("succeeded") is False

    @precondition(lambda self: self.open_letters())
    @rule(role=roles, choice=picks, function=st.sampled_from(["deliver", "delay", "carryOut", "withdraw"]))
    def strangers_move_nothing(self, role: str, choice: int, function: str) -> None:
        """Nor does the relayer, beyond carrying and delaying."""
        number, owner = self.pick(choice), self.world.account(role)
        if function in ("deliver", "delay"):
            arguments = [number] if function == "deliver" else [number, 10**10]
            refusal = {"AccessControlUnauthorizedAccount"}
            assert not self.attempt(refusal, lambda: self.bridge.send(function, *arguments, sender=owner))
        elif function == "carryOut":
            forged = (Kind.RECALL, Status.SENT, owner, 0, 0, 10**12, 1, 0, 0)
            assert not self.attempt(
                {"NotBridge"}, lambda: self.bridge.send(function, forged, sender=self.world.relayer)
            )
        else:
            house, relayer = self.world.house, self.world.relayer
            assert not self.attempt(
                {"InsufficientCash", "Locked", "WithdrawalsBlocked"},
                lambda: house.send("withdraw", 1, relayer, sender=relayer),
            )

    # -- laws ---------------------------------------------------------------------------------------------------------

    def total(self, role: str | None, *kinds: Kind, status: tuple[Status, ...] = (Status.SENT,)) -> int:
        """Money that messages carry."""
        wanted = (x for x in self.letters.values() if x.kind in kinds and x.status in status)
        return sum(letter.amount for letter in wanted if role in (None, letter.role))

    @invariant()
    def bridge_holds_what_is_on_its_way_or_waits(self) -> None:
        on_the_way = self.total(None, Kind.COLLATERAL, Kind.RETURN)
        waiting = sum(self.world.claimable(role) for role in ROLES)
        assert self.world.balance(self.bridge.address) == on_the_way + waiting

    @invariant()
    def every_dollar_that_was_sent_is_somewhere_once(self) -> None:
        there = self.world.balance(self.world.house.address) - self.custody
        here = self.world.balance(self.bridge.address)
        assert sum(self.paid_in.values()) == there + here + sum(self.claimed.values())
        assert self.world.balance(self.world.relayer) == 0
        for role in ROLES:
            assert self.world.balance(self.world.account(role)) == self.claimed[role]
            assert self.world.balance(self.world.hand(role)) == 0

    @invariant()
    def every_message_is_as_it_was_sent(self) -> None:
        assert self.world.last_message() == len(self.letters)
        for letter, raw in zip(self.letters.values(), self.bridge.call("messages", list(self.letters)), strict=True):
            now = Message(*raw)
            assert (now.kind, self.role_of[now.account]) == (letter.kind, letter.role)
            assert (now.amount, now.size, now.status) == (letter.amount, letter.size, letter.status)
            assert (now.not_before, now.expires_at) == (letter.not_before, letter.expires_at)

    @invariant()
    def home_counts_everything_once(self) -> None:
        """The newest report that arrived, plus what it cannot know of, message by message."""
        for role in ROLES:
            told, newest = self.world.heard(role), self.newest_heard[role]
            assert told == self.reports[newest]
            written = self.letters[newest].sent if newest else 0
            mine = [letter for letter in self.letters.values() if letter.role == role]
            unknown = [x for x in mine if x.status in (Status.SENT, Status.EXPIRED) or x.ended > written]
            alive = [x for x in unknown if x.status is not Status.EXPIRED]
            money = sum(x.amount for x in alive if x.kind is Kind.COLLATERAL)
            coming = [x for x in mine if x.kind is Kind.RETURN]
            money += sum(x.amount for x in coming if x.sent <= written and x.status is Status.SENT)
            money -= sum(x.amount for x in coming if x.sent > written and x.status is not Status.SENT)
            self.check_value(role, told.equity + (money + self.world.claimable(role)) * USDC, told.time)
            pending = sum(x.size for x in alive if x.kind is Kind.ORDER)
            assert self.world.pending(role) == pending + told.pending
            assert self.world.size(role) == told.size
            assert len([x for x in alive if x.kind is Kind.ORDER]) <= (0 if told.pending else 1)

    def check_value(self, role: str, expected: int, told_at: int) -> None:
        try:
            value = self.world.value(role)
        except Revert as revert:
            if revert.name != "ReportTooOld" or self.now - told_at <= MAX_AGE:
                raise
            return
        assert value == expected
        if role == "saver":
            assert value == (self.paid_in[role] - self.claimed[role]) * USDC

    # -- the end ------------------------------------------------------------------------------------------------------

    def teardown(self) -> None:
        """Once all is delivered or taken back and told, home knows the truth, and money comes home but for margin."""
        if not hasattr(self, "custody"):
            return
        self.run_dry()
        for role in ROLES:
            self.recall(role, 10**9)
        self.run_dry()
        for role in ROLES:
            self.report(role)
        self.run_dry()
        self.home_counts_everything_once()
        for role in ROLES:
            hand = self.world.hand(role)
            assert (self.world.size(role), self.world.pending(role)) == (self.venue.size(hand), 0)
            if self.world.size(role) == 0:
                assert 0 <= self.venue.cash(hand) < USDC

    def run_dry(self) -> None:
        while self.open_letters() or any(self.venue.perp.call("pendingSize", self.world.hand(r)) for r in ROLES):
            self.wait(MIN_DELAY, fresh=True)
            for number in self.open_letters():
                late = self.now > self.letters[number].expires_at
                (self.expire if late else self.deliver)(self.open_letters().index(number))
            for role in ROLES[:2]:
                self.settle(role)


TestCrossing = Crossing.TestCase
TestCrossing.settings = settings(max_examples=settings.default.max_examples // 2, stateful_step_count=40)
