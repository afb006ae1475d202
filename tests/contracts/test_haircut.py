"""The haircut index: bad debt is taken from everybody in proportion, and custody always covers what is left."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from venue_world import VenueWorld, refusal

from keeper.chain.contract import Contract, Receipt
from keeper.units import WAD, to_usdc, to_wad

RAY = 10**27
TRADERS = ("first", "second", "third", "fourth")
Step = tuple[str, int, int, int]


class Room(VenueWorld):
    """A venue whose waterfall does what a test tells it to."""

    def _waterfall(self, markets: list[str]) -> Contract:
        return self.evm.deploy("ModuleMock")

    def as_waterfall(self, function: str, *args: Any) -> Receipt:
        return self.waterfall.send("run", self.house.address, self.house.encode(function, *args))

    def record(self, role: str) -> int:
        """Records what an account owes; returns how much."""
        return sum(e["amount"] for e in self._events("BadDebtRecorded", "recordBadDebt", self.account(role)))

    def socialise(self, wad: int) -> int:
        """Takes bad debt from everybody; returns how much."""
        return sum(e["amount"] for e in self._events("BadDebtSocialised", "socialise", wad))

    def _events(self, name: str, function: str, *args: Any) -> list[dict[str, Any]]:
        return self.as_waterfall(function, *args).events(name)

    def indebt(self, role: str, dollars: float) -> None:
        """An account that had nothing lost `dollars` to the pool: recorded as bad debt."""
        self.hand_over(role, self.pool.address, to_wad(dollars))
        self.record(role)


@cache
def _deployed() -> Room:
    return Room(pool_cash=50_000, insurance_cash=20_000)


@pytest.fixture
def world() -> Room:
    return Room(pool_cash=50_000, insurance_cash=20_000)


def modules(world: Room) -> list[str]:
    parts = (world.pool, world.fund, world.engine, world.waterfall, world.perp, world.module)
    return [part.address for part in parts]


# -- by hand -----------------------------------------------------------------------------------------------------------


def test_socialised_debt_is_taken_from_everybody_in_proportion_and_modules_are_spared(world: Room) -> None:
    world.deposit("first", 30_000)
    world.deposit("second", 10_000)
    world.hand_over("third", "second", to_wad(1_000))
    world.indebt("fourth", 4_100)
    spared = [world.cash(module) for module in modules(world)]
    assert world.socialise(to_wad(4_100)) == to_wad(4_100)
    assert world.house.call("haircutIndex") == RAY * 9 // 10
    assert (world.cash("first"), world.cash("second")) == (to_wad(27_000), to_wad(9_900))
    assert world.cash("third") == -to_wad(1_000)
    assert [world.cash(module) for module in modules(world)] == spared
    assert world.house.call("recordedBadDebt") == 0
    assert world.house.call("totalBadDebt") == (to_wad(4_100), to_wad(4_100))


def test_haircut_is_at_most_the_debt_on_record_and_99_percent_of_what_there_is(world: Room) -> None:
    world.deposit("first", 1_000)
    assert world.socialise(to_wad(1)) == 0
    world.indebt("second", 500)
    assert world.socialise(to_wad(600)) == to_wad(500)
    world.indebt("second", 5_000)
    assert world.socialise(to_wad(5_000)) == to_wad(495)
    assert world.cash("first") == to_wad(5)
    assert world.house.call("recordedBadDebt") == to_wad(4_505)
    assert world.socialise(0) == 0


def test_index_never_reaches_zero_however_often_everybody_is_cut(world: Room) -> None:
    world.deposit("first", 1_000)
    world.indebt("second", 10_000)
    while world.socialise(to_wad(10_000)) > 0:
        world.deposit("third", 1)
    assert world.house.call("haircutIndex") == RAY // 10**9
    world.deposit("first", 1_000)
    assert world.cash("first") >= to_wad(1_000)
    assert world.total_cash(*TRADERS) <= world.custody()


def test_account_that_joins_after_a_haircut_keeps_what_it_brought(world: Room) -> None:
    world.deposit("first", 1_000)
    world.indebt("second", 300)
    world.socialise(to_wad(300))
    world.deposit("third", 777.777777)
    assert world.cash("third") == to_usdc(777.777777) * 10**12
    world.withdraw("third", 777.777777)
    assert world.cash("first") == to_wad(700)


def test_tokens_sent_past_the_door_change_nothing(world: Room) -> None:
    world.deposit("first", 1_000)
    world.indebt("second", 300)
    world.token.send("mint", world.house.address, to_usdc(1_000_000))
    world.socialise(to_wad(300))
    assert world.cash("first") == to_wad(700)
    assert world.custody() == world.total_cash("first", "second") + to_wad(1_000_000)


def test_cash_that_was_never_paid_in_cannot_be_withdrawn_out_of_a_donation(world: Room) -> None:
    """The other side's loss is still negative cash: winners wait for it, whatever tokens lie about."""
    world.hand_over("second", "first", to_wad(100_000))
    world.token.send("mint", world.house.address, to_usdc(1_000_000))
    revert = refusal(world.withdraw, "first", 100_000)
    assert (revert.name, revert.args) == ("InsufficientCustody", (to_wad(70_000), to_wad(100_000)))


def test_pool_is_recorded_only_as_far_as_its_equity_is_negative(world: Room) -> None:
    world.deposit("trader", 100_000)
    world.trade("trader", 10)
    world.hand_over(world.pool.address, "trader", world.cash(world.pool.address) + to_wad(5_000))
    world.move(1_700)
    equity = world.pool.call("equity", world.price())
    assert -to_wad(5_000) < equity < 0
    short = world.house.call("badDebt")
    assert short == -equity
    assert world.record(world.pool.address) == short
    assert world.house.call("badDebt") == world.house.call("recordedBadDebt") == short
    assert world.pool.call("equity", world.price()) == 0
    assert world.record(world.pool.address) == 0


def test_the_clearinghouse_itself_is_never_recorded(world: Room) -> None:
    world.indebt("first", 100)
    assert world.record(world.house.address) == 0
    assert world.house.call("totalBadDebt") == (to_wad(100), 0)


# -- over random sequences ---------------------------------------------------------------------------------------------

KINDS = ("deposit", "move", "move", "record", "record", "cover", "socialise", "socialise", "withdraw", "donate")
STEPS = st.lists(
    st.tuples(
        st.sampled_from(KINDS),
        st.integers(0, len(TRADERS)),
        st.integers(0, len(TRADERS)),
        st.integers(1, 10**12),
    ),
    min_size=4,
    max_size=24,
)


@dataclass
class Books:
    """Plays steps on the bytecode, checks each against exact fractions, and counts what rounding may leave behind."""

    world: Room
    donated: int = 0
    dust: Fraction = Fraction(0)

    def __post_init__(self) -> None:
        self.accounts = [self.world.account(role) for role in TRADERS] + [self.world.fund.address]
        self.own = [*modules(self.world), self.world.house.address]

    def play(self, step: Step) -> None:
        kind, left, right, amount = step
        getattr(self, f"_{kind}")(self.accounts[left], self.accounts[right], amount)
        holders = {*self.accounts, *self.own}
        gap = self.world.custody() - self.donated - sum(self.world.cash(holder) for holder in holders)
        assert 0 <= gap <= self.dust

    def _deposit(self, account: str, _: str, units: int) -> None:
        before = self.world.cash(account)
        self.world.deposit(account, units / 10**6)
        assert self.world.cash(account) == before + units * 10**12

    def _withdraw(self, account: str, _: str, units: int) -> None:
        if account == self.world.fund.address:
            return
        blocked = self.world.house.call("badDebt") > 0
        before = self.world.cash(account)
        if blocked or before < units * 10**12:
            expected = "WithdrawalsBlocked" if blocked else "InsufficientCash"
            assert refusal(self.world.withdraw, account, units / 10**6).name == expected
        elif units * 10**12 <= self.world.custody() - self.donated:
            self.world.withdraw(account, units / 10**6)
            assert self.world.cash(account) == before - units * 10**12

    def _move(self, payer: str, receiver: str, units: int) -> None:
        amount = units * 10**12 // 7
        before = self.world.cash(payer), self.world.cash(receiver)
        self.world.hand_over(payer, receiver, amount)
        if payer != receiver:
            assert (self.world.cash(payer), self.world.cash(receiver)) == (before[0] - amount, before[1] + amount)

    def _record(self, account: str, _: str, __: int) -> None:
        before, debt = self.world.cash(account), self.world.house.call("recordedBadDebt")
        recorded = self.world.record(account)
        assert recorded == max(0, -before)
        assert self.world.cash(account) == max(0, before)
        assert self.world.house.call("recordedBadDebt") == debt + recorded

    def _cover(self, payer: str, _: str, units: int) -> None:
        before, debt = self.world.cash(payer), self.world.house.call("recordedBadDebt")
        self.world.as_module("coverBadDebt", payer, units * 10**12)
        covered = max(0, min(before, debt, units * 10**12))
        assert self.world.cash(payer) == before - covered
        assert self.world.house.call("recordedBadDebt") == debt - covered

    def _donate(self, _: str, __: str, units: int) -> None:
        self.world.token.send("mint", self.world.house.address, units)
        self.donated += units * 10**12

    def _socialise(self, _: str, __: str, units: int) -> None:
        world = self.world
        cash = {account: world.cash(account) for account in {*self.accounts, *self.own}}
        debt, socialised = world.house.call("recordedBadDebt"), world.house.call("totalBadDebt")[1]
        present = sum(cash[account] for account in self.accounts[:-1] if cash[account] > 0)
        taken = world.socialise(units * 10**12)
        most = min(debt, units * 10**12, present * 99 // 100)
        assert abs(taken - most) <= self.dust + 1
        assert world.house.call("recordedBadDebt") == debt - taken
        assert world.house.call("totalBadDebt")[1] == socialised + taken
        slack = 1 + Fraction(present, world.house.call("haircutIndex"))
        for account, before in cash.items():
            after = world.cash(account)
            if account in self.own or before <= 0:
                assert after == before + (taken if account == world.house.address else 0)
            else:
                fair = before * (1 - Fraction(taken, present))
                assert fair - slack <= after <= fair + self.dust + 1
        self.dust += len(TRADERS) * slack


@given(STEPS)
def test_custody_covers_all_cash_and_haircuts_are_fair_whatever_happens(steps: list[Step]) -> None:
    world = _deployed()
    start = world.evm.snapshot()
    try:
        books = Books(world)
        for step in steps:
            books.play(step)
    finally:
        world.evm.revert(start)


def test_one_haircut_leaves_less_than_a_wei_an_account(world: Room) -> None:
    roles = [f"holder-{number}" for number in range(20)]
    for number, role in enumerate(roles):
        world.deposit(role, 1_000.000001 + 77.7 * number)
    world.indebt("first", 1_234.567891)
    world.socialise(to_wad(1_234.567891))
    gap = world.custody() - world.total_cash("first", *roles)
    assert 0 <= gap <= len(roles)
    for role in roles:
        world.deposit(role, 1)
    assert 0 <= world.custody() - world.total_cash("first", *roles) - gap <= len(roles)
    assert world.house.call("badDebt") == 0
    world.withdraw("holder-0", int(world.cash("holder-0") / WAD))
