"""Portfolio margin over the bytecode: against the Python kernel, and the laws that a margin model must keep."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from venue_world import PARAMETERS, SHOCKS, VenueWorld, refusal

from keeper.chain.contract import Contract
from keeper.chain.evm import Evm
from keeper.pricing import black76
from keeper.protocol import margin as margins
from keeper.protocol import options as option_maths
from keeper.units import SECONDS_PER_DAY, SECONDS_PER_YEAR, WAD, from_wad, to_wad

PRICE = 2_000.0
SPREAD, MIN_MARGIN, LIQUIDATION_RATE, ORDER_RATE = 0.02, 200.0, 0.0008, 0.001
STANDARD = margins.Shocks(*(value / WAD for value in SHOCKS.values()))
ROUNDING = 1_000
"""Wei: a wei for each unit, of ten positions of at most a hundred units."""
fast = settings(max_examples=60, deadline=None, derandomize=True)


@dataclass(frozen=True)
class Held:
    """An option of a test book."""

    days: float
    strike: float
    is_call: bool
    size: float
    vol: float


@dataclass(repr=False)
class Desk:
    """One account of a model whose clearinghouse and markets are mocks."""

    evm: Evm
    mock: Contract
    models: dict[margins.Shocks, Contract]

    def model(self, shocks: margins.Shocks = STANDARD) -> Contract:
        if shocks not in self.models:
            address = self.mock.address
            values = tuple(to_wad(getattr(shocks, name)) for name in shocks.__dataclass_fields__)
            self.models[shocks] = self.evm.deploy("PortfolioMargin", address, [address], address, values)
        return self.models[shocks]

    def expiry(self, held: Held) -> int:
        return self.evm.timestamp + round(held.days * SECONDS_PER_DAY)

    def hold(self, *book: Held, coins: float = 0.0, pending: float = 0.0, cash: float = 0.0) -> Desk:
        positions = [
            (self.expiry(held), to_wad(held.strike), held.is_call, to_wad(held.size), to_wad(held.vol)) for held in book
        ]
        self.mock.send("setOptions", positions)
        self.mock.send("setPerp", to_wad(coins), to_wad(pending), 0)
        self.mock.send("setCash", to_wad(cash))
        self.mock.send("setAverage", to_wad(PRICE))
        return self

    def margin(self, shocks: margins.Shocks = STANDARD, price: float = PRICE) -> tuple[int, int, int]:
        equity, initial, maintenance = self.model(shocks).call("margin", self.mock.address, to_wad(price))
        return int(equity), int(initial), int(maintenance)

    def positions(self, price: float = PRICE) -> tuple[list[margins.OptionPosition], float]:
        """What the option market says, as the Python kernel takes it, and the closing cost."""
        holdings, _, closing = self.mock.call("book", self.mock.address, to_wad(price))
        positions = []
        for series, size, vol, forward, seconds, greeks in holdings:
            expiry, is_call, strike = series >> 136, bool(series >> 128 & 1), series & (1 << 128) - 1
            open_share = option_maths.open_share(float(expiry - self.evm.timestamp))
            values = (from_wad(size), from_wad(greeks[0]), from_wad(forward), from_wad(strike), float(seconds))
            positions.append(margins.OptionPosition(expiry, *values, from_wad(vol), open_share, is_call))
        return positions, from_wad(closing)


@pytest.fixture(scope="module")
def desk() -> Desk:
    evm = Evm()
    return Desk(evm, evm.deploy("MarginMock"), {})


def reserve(coins: float, price: float = PRICE) -> float:
    return 0.0 if coins == 0.0 else MIN_MARGIN + abs(coins) * price * LIQUIDATION_RATE


SIZES = st.floats(0.01, 100.0).map(lambda x: round(x, 4))
SIGNED = st.tuples(SIZES, st.booleans()).map(lambda pair: pair[0] if pair[1] else -pair[0])
DAYS = st.sampled_from([0.002, 0.015, 0.04, 1.0, 7.0, 30.0, 90.0, 365.0])
STRIKES = st.sampled_from([90.0, 1_000.0, 1_600.0, 1_900.0, 2_000.0, 2_100.0, 2_600.0, 4_000.0, 45_000.0])
VOLS = st.sampled_from([0.05, 0.4, 0.8, 1.5, 4.0])


def series_of(days: st.SearchStrategy[float], sizes: st.SearchStrategy[float]) -> st.SearchStrategy[Held]:
    return st.builds(Held, days, STRIKES, st.booleans(), sizes, VOLS)


def books(
    days: st.SearchStrategy[float] = DAYS, sizes: st.SearchStrategy[float] = SIGNED, most: int = 6
) -> st.SearchStrategy[list[Held]]:
    """Books in which a strike of an expiry has one vol, as on a surface, and a series one position."""
    return st.lists(series_of(days, sizes), max_size=most, unique_by=lambda held: (held.days, held.strike))


COINS = st.one_of(st.just(0.0), SIGNED)
LIVE = st.sampled_from([1.0, 7.0, 30.0, 90.0])


# --- against the kernel ----------------------------------------------------------------------------------------------


def close(found: int, expected: float, gross: float) -> bool:
    return abs(from_wad(found) - expected) <= 1e-9 * expected + 1e-12 * gross


@given(
    book=books(days=st.one_of(DAYS, st.just(-0.01))), coins=COINS, price=st.sampled_from([1_200.0, 2_000.0, 3_100.0])
)
@settings(max_examples=150, deadline=None, derandomize=True)
def test_margin_of_any_book_matches_the_python_kernel(desk: Desk, book: list[Held], coins: float, price: float) -> None:
    desk.hold(*book, coins=coins, cash=1_000.0)
    positions, closing = desk.positions(price)
    gross = sum(abs(held.size) * (price + held.strike) for held in book) + abs(coins) * price
    expected = margins.portfolio_margins(positions, coins, price, STANDARD, closing, reserve(coins, price))
    equity, initial, maintenance = desk.margin(price=price)
    assert close(initial, expected[0], gross)
    assert close(maintenance, expected[1], gross)
    worth = margins.option_worth(positions)[0]
    assert from_wad(equity) == pytest.approx(1_000.0 + worth, rel=1e-9, abs=1e-12 * gross)


def test_profits_of_each_scenario_match_the_python_kernel_and_nothing_happens_in_the_middle(desk: Desk) -> None:
    book = [Held(7.0, 2_000.0, True, -10.0, 0.8), Held(30.0, 1_900.0, False, 4.0, 0.9)]
    desk.hold(*book, coins=3.0)
    positions, _ = desk.positions()
    profits = desk.model().call("profits", desk.mock.address, to_wad(PRICE))
    assert profits[7] == 0
    for found, (move, vol_move, _) in zip(profits, margins.scenarios(STANDARD), strict=True):
        expected = 3.0 * PRICE * move
        for held in positions:
            vol = held.vol * (1.0 + vol_move * margins.tenor_factor(held.seconds))
            forward = held.forward * (1.0 + move)
            expected += held.size * (
                margins.scenario_value(forward, held.strike, held.seconds, vol, held.is_call) - held.value
            )
        assert from_wad(found) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_tenor_factor_of_a_day_a_month_and_a_year(desk: Desk) -> None:
    assert margins.tenor_factor(60.0) == margins.tenor_factor(86_400.0) == pytest.approx(30**0.3)
    assert margins.tenor_factor(30.0 * 86_400.0) == 1.0
    assert margins.tenor_factor(365.0 * 86_400.0) == pytest.approx((30 / 365) ** 0.3)


# --- laws ------------------------------------------------------------------------------------------------------------


def test_margin_of_an_empty_account_is_zero(desk: Desk) -> None:
    desk.hold()
    assert desk.margin() == (0, 0, 0)


@given(book=books(days=st.one_of(DAYS, st.just(-0.01))), coins=COINS, pending=COINS)
@fast
def test_initial_is_never_below_maintenance(desk: Desk, book: list[Held], coins: float, pending: float) -> None:
    desk.hold(*book, coins=coins, pending=pending)
    _, initial, maintenance = desk.margin()
    assert initial >= maintenance >= 0


@given(days=LIVE, vol=st.floats(0.3, 1.5), size=st.floats(1.0, 50.0))
@fast
def test_short_straddle_and_its_hedge_need_less_than_the_sum_of_their_parts(
    desk: Desk, days: float, vol: float, size: float
) -> None:
    straddle = [Held(days, PRICE, is_call, -size, vol) for is_call in (True, False)]
    delta = black76.greeks(PRICE, PRICE, days / 365, vol, 0.0, True)[1]
    alone = desk.hold(straddle[0]).margin()[1:], desk.hold(straddle[1]).margin()[1:]
    call_hedge = size * delta
    both = desk.hold(straddle[0], coins=call_hedge).margin()[1:]
    hedge = desk.hold(coins=call_hedge).margin()[1:]
    together = desk.hold(*straddle, coins=size * (2 * delta - 1)).margin()[1:]
    for kind in (0, 1):
        assert both[kind] < alone[0][kind] + hedge[kind]
        assert together[kind] < alone[0][kind] + alone[1][kind]


@given(book=books(), more=books(), coins=COINS, others=COINS)
@fast
def test_two_books_together_never_need_more_than_apart(
    desk: Desk, book: list[Held], more: list[Held], coins: float, others: float
) -> None:
    """Losses are subadditive; a perpetual's fixed part is charged once, and surplus only shrinks where books net."""
    taken = {(held.days, held.strike) for held in book}
    more = [held for held in more if (held.days, held.strike) not in taken]
    first = desk.hold(*book, coins=coins).margin()
    second = desk.hold(*more, coins=others).margin()
    both = desk.hold(*book, *more, coins=round(coins + others, 4)).margin()
    assert both[1] <= first[1] + second[1] + ROUNDING
    assert both[2] <= first[2] + second[2] + ROUNDING


@given(book=books(), coins=COINS, added=series_of(LIVE, SIZES))
@fast
def test_a_long_option_takes_at_most_its_closing_cost_from_free_margin(
    desk: Desk, book: list[Held], coins: float, added: Held
) -> None:
    """Equity less requirement, initial and maintenance, the option itself counted in equity but not yet paid for."""
    book = [held for held in book if (held.days, held.strike) != (added.days, added.strike)]
    before = desk.hold(*book, coins=coins).margin()
    closing = desk.positions()[1]
    after = desk.hold(*book, added, coins=coins).margin()
    cost = to_wad(desk.positions()[1] - closing)
    for kind in (1, 2):
        assert after[0] - after[kind] >= before[0] - before[kind] - cost - 10**9


@given(book=books(), scale=st.sampled_from([2, 3, 10]))
@fast
def test_margin_of_options_alone_grows_with_size(desk: Desk, book: list[Held], scale: int) -> None:
    single = desk.hold(*book).margin()
    larger = desk.hold(*(replace(held, size=round(held.size * scale, 4)) for held in book)).margin()
    for one, many in zip(single, larger, strict=True):
        assert many == pytest.approx(one * scale, abs=ROUNDING * scale)


def interpolation_error(held: margins.OptionPosition) -> float:
    """h^2 / 8 sup(gamma) + w^2 / 8 sup(volga) of a unit, with the suprema over the range replaced by larger numbers:
    gamma = phi(d1) / (F s) <= 0.4 / (F s), volga = F sqrt(T) phi(d1) d1 d2 / v <= F sqrt(T) (0.3 + 0.25 s) / v."""
    factor, root = margins.tenor_factor(held.seconds), math.sqrt(held.seconds / SECONDS_PER_YEAR)
    lowest, highest = held.vol * (1.0 - STANDARD.vol_down * factor), held.vol * (1.0 + STANDARD.vol_up * factor)
    low, high = PRICE * (1.0 - STANDARD.spot_range), PRICE * (1.0 + STANDARD.spot_range)
    step, width = PRICE * STANDARD.spot_range / 2, held.vol * factor * max(STANDARD.vol_up, STANDARD.vol_down)
    gamma = 0.4 / (low * max(lowest, 0.01) * root)
    volga = high * root * (0.3 + 0.25 * highest * root) / max(lowest, 0.01)
    return step**2 / 8 * gamma + width**2 / 8 * volga


@given(book=books(days=LIVE, most=4), coins=COINS)
@settings(max_examples=25, deadline=None, derandomize=True)
def test_no_move_inside_the_range_loses_more_than_the_grid_says_plus_its_bound(
    desk: Desk, book: list[Held], coins: float
) -> None:
    """Between nodes h apart in the index and w apart in vol, a loss exceeds the nodes' by at most
    h^2 / 8 sup(gamma) + w^2 / 8 sup(volga), the error of bilinear interpolation, where longs have them positive."""
    desk.hold(*book, coins=coins)
    positions, _ = desk.positions()
    spots = [PRICE * STANDARD.spot_range * (i / 12 - 1.0) for i in range(25)]
    shifts = [-STANDARD.vol_down * (1 - i / 8) for i in range(9)] + [STANDARD.vol_up * i / 8 for i in range(1, 9)]
    worst = 0.0
    for spot, shift in itertools.product(spots, shifts):
        profit = coins * spot
        for held in positions:
            forward, vol = held.forward + spot, held.vol * (1.0 + shift * margins.tenor_factor(held.seconds))
            value = margins.scenario_value(forward, held.strike, held.seconds, vol, held.is_call)
            profit += held.size * (value - held.value)
        worst = min(worst, profit)
    loss = margins.worst_losses(positions, coins, PRICE, STANDARD)[0]
    bound = sum(held.size * interpolation_error(held) for held in positions if held.size > 0.0)
    assert -worst <= loss + bound + 1e-9 * sum(abs(held.size) for held in book) * PRICE
    assert desk.margin()[2] >= to_wad(loss) - 10**9


@given(book=books(days=LIVE), coins=COINS)
@fast
def test_margin_grows_with_the_factor_and_the_weight_of_tails(desk: Desk, book: list[Held], coins: float) -> None:
    desk.hold(*book, coins=coins)
    heavier = replace(STANDARD, initial_factor=1.5, tail_weight=0.6)
    before, after = desk.margin(), desk.margin(heavier)
    assert after[1] >= before[1] - ROUNDING
    assert after[2] >= before[2] - ROUNDING


@given(book=books(days=LIVE, sizes=SIZES.map(lambda size: -size)), coins=COINS)
@fast
def test_margin_of_short_options_and_any_hedge_grows_with_every_shock(
    desk: Desk, book: list[Held], coins: float
) -> None:
    """Profits of such a book are concave in the index, so its loss grows with the move."""
    desk.hold(*book, coins=coins)
    before = desk.margin()
    for wider in (
        replace(STANDARD, spot_range=0.2),
        replace(STANDARD, spot_tail=0.6),
        replace(STANDARD, vol_up=0.6),
        replace(STANDARD, vol_down=0.3),
    ):
        after = desk.margin(wider)
        assert after[1] >= before[1] - ROUNDING
        assert after[2] >= before[2] - ROUNDING


@given(book=books(), coins=COINS, pending=SIGNED)
@fast
def test_an_order_in_flight_is_charged_at_its_worse_side_and_its_cost(
    desk: Desk, book: list[Held], coins: float, pending: float
) -> None:
    without = desk.hold(*book, coins=coins).margin()
    filled = desk.hold(*book, coins=round(coins + pending, 4)).margin()
    waiting = desk.hold(*book, coins=coins, pending=pending).margin()
    cost = to_wad(abs(pending) * PRICE * ORDER_RATE)
    assert waiting[1] >= max(without[1], filled[1]) + cost - 10**6
    shrinks = pending * coins < 0.0 and abs(pending) <= abs(coins)
    assert waiting[2] == without[2] or (shrinks and waiting[2] > without[2])
    if_filled = desk.model().call(
        "marginIfFilled", desk.mock.address, desk.mock.address, to_wad(pending), to_wad(PRICE)
    )
    assert if_filled[1] == pytest.approx(filled[2], abs=10**6)
    assert if_filled[0] == waiting[0]


def test_order_that_takes_a_hedge_away_is_charged_in_maintenance_before_it_fills(desk: Desk) -> None:
    """The market asks no initial margin of an order that shrinks a position, and always fills it."""
    call = Held(7.0, 1_600.0, True, -10.0, 0.8)
    naked = desk.hold(call).margin()[2]
    hedged = desk.hold(call, coins=10.0).margin()[2]
    leaving = desk.hold(call, coins=10.0, pending=-10.0).margin()[2]
    assert hedged < 0.7 * naked
    assert leaving == naked + to_wad(reserve(10.0))
    assert desk.hold(call, coins=10.0, pending=5.0).margin()[2] == hedged


# --- expiry ----------------------------------------------------------------------------------------------------------


def test_new_parameters_make_no_account_liquidatable_before_the_grace_is_over() -> None:
    world = VenueWorld(margin_kind="PortfolioMargin")
    world.deposit("trader", 1_500)
    world.trade("trader", 1.0)
    before = world.margin("trader")[2]
    world.set_parameters(minMargin=25 * PARAMETERS["minMargin"])
    assert world.margin("trader")[2] == before
    world.move(world.price() / WAD, int(world.perp.call("GRACE")) - 1)
    assert not world.house.call("isLiquidatable", world.account("trader"), world.price())
    world.move(world.price() / WAD, 1)
    assert world.margin("trader")[2] == before + 24 * PARAMETERS["minMargin"]
    assert world.house.call("isLiquidatable", world.account("trader"), world.price())


def test_expired_long_counts_only_against_shorts_of_its_expiry(desk: Desk) -> None:
    long, short = Held(-0.01, 1_500.0, True, 1.0, 0.8), Held(-0.01, 1_600.0, True, -1.0, 0.8)
    other = Held(-0.02, 1_700.0, True, -1.0, 0.8)
    assert desk.hold(long).margin() == (0, 0, 0)
    assert desk.hold(short).margin() == (to_wad(-400), 0, 0)
    assert desk.hold(long, short).margin() == (0, 0, 0)
    assert desk.hold(long, other).margin() == (to_wad(-300), 0, 0)


def test_surplus_of_longs_is_asked_for_again_as_initial_margin(desk: Desk) -> None:
    """A long alone leaves cash less its closing cost free; a calendar does not lend on its far leg."""
    far, near = Held(30.0, PRICE, True, 10.0, 0.8), Held(7.0, PRICE, True, -10.0, 0.8)
    equity, initial, maintenance = desk.hold(far, cash=500.0).margin()
    closing = desk.positions()[1]
    assert from_wad(equity - initial) == pytest.approx(500.0 - closing, abs=1e-9)
    assert maintenance < initial
    equity, initial, _ = desk.hold(far, near).margin()
    near_value = option_maths.unit(PRICE, PRICE, 7.0 * SECONDS_PER_DAY, 0.8, True)[0] * 10.0
    assert from_wad(equity - initial) < -near_value
    assert equity > desk.margin()[2]


def test_within_the_settlement_window_only_what_is_open_moves(desk: Desk) -> None:
    """A covered call whose average is almost complete: the coins still move with the index, the call no longer does."""
    call = Held(60 / SECONDS_PER_DAY, 1_000.0, True, -10.0, 0.8)
    early = replace(call, days=1.0)
    assert desk.hold(early, coins=10.0).margin()[2] < to_wad(700.0)
    covered = from_wad(desk.hold(call, coins=10.0).margin()[2])
    assert covered > 10 * PRICE * 0.16 * (1 - 60 / 1_800)


# --- deployment ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("spotRange", 0),
        ("spotRange", to_wad(0.51)),
        ("spotTail", to_wad(0.14)),
        ("spotTail", to_wad(0.91)),
        ("tailWeight", to_wad(1.01)),
        ("volUp", to_wad(2.1)),
        ("volDown", to_wad(0.37)),
        ("initialFactor", to_wad(0.99)),
    ],
)
def test_shocks_that_mean_nothing_are_refused_by_name(desk: Desk, name: str, value: int) -> None:
    values = tuple((SHOCKS | {name: value}).values())
    reason = refusal(desk.evm.deploy, "PortfolioMargin", desk.mock.address, [], desk.mock.address, values)
    assert reason.name == "BadShock"


def test_no_option_market_and_no_perpetual_are_fine(desk: Desk) -> None:
    shocks: Any = tuple(SHOCKS.values())
    mock, nobody = desk.mock.address, "0x" + "00" * 20
    desk.hold(Held(7.0, PRICE, True, -1.0, 0.8), coins=1.0, cash=10.0)
    perps_only = desk.evm.deploy("PortfolioMargin", mock, [mock], nobody, shocks)
    options_only = desk.evm.deploy("PortfolioMargin", mock, [], mock, shocks)
    equity, initial, maintenance = perps_only.call("margin", mock, to_wad(PRICE))
    assert equity == to_wad(10.0)
    assert maintenance == to_wad(PRICE * 0.16 + reserve(1.0))
    assert initial == to_wad(PRICE * 0.16 * 1.25 + reserve(1.0))
    value = option_maths.unit(PRICE, PRICE, 7.0 * SECONDS_PER_DAY, 0.8, True)[0]
    assert options_only.call("margin", mock, to_wad(PRICE))[0] == pytest.approx(to_wad(10.0 - value), rel=1e-9)
    assert math.isclose(from_wad(desk.margin()[0]), 10.0 - value, rel_tol=1e-9)


# --- the page --------------------------------------------------------------------------------------------------------

PAGE = Path(__file__).resolve().parents[2] / "docs" / "margin.md"
STRADDLE = (Held(7.0, PRICE, True, -10.0, 0.8), Held(7.0, PRICE, False, -10.0, 0.8))
HEDGE = round(10 * (2 * black76.greeks(PRICE, PRICE, 7 / 365, 0.8, 0.0, True)[1] - 1), 2)
CALL_HEDGE = 5.0
EXAMPLES: dict[str, tuple[tuple[Held, ...], float]] = {
    "short 10 calls at 2000": (STRADDLE[:1], 0.0),
    "long 5 coins": ((), CALL_HEDGE),
    "short 10 calls at 2000, long 5 coins": (STRADDLE[:1], CALL_HEDGE),
    "short 10 straddles at 2000": (STRADDLE, 0.0),
    f"short 10 straddles at 2000, long {HEDGE} coins": (STRADDLE, HEDGE),
    "long 10 calls at 2000, short 10 at 2200": (
        (replace(STRADDLE[0], size=10.0), replace(STRADDLE[0], strike=2_200.0)),
        0.0,
    ),
}


def perp_alone(coins: float) -> tuple[float, float]:
    """Initial and maintenance margin of the mock's perpetual under isolated margin, at 4% and half of it."""
    cost = reserve(coins) - MIN_MARGIN if coins else 0.0
    return margins.margins(coins, PRICE, 0.04, 0.5, MIN_MARGIN, cost)


def isolated(desk: Desk, coins: float) -> tuple[float, float]:
    """Deposit to open at mid, and requirement to keep: longs count for nothing."""
    positions, _ = desk.positions()
    initial, maintenance = perp_alone(coins)
    for held in positions:
        if held.size > 0.0:
            initial, maintenance = initial + held.size * held.value, maintenance + held.size * held.value
            continue
        years = held.seconds / SECONDS_PER_YEAR
        vega = black76.greeks(held.forward, held.strike, years, held.vol, 0.0, held.is_call)[3]
        unit = option_maths.short_margin(PRICE, held.strike, held.is_call, vega, SPREAD)
        initial, maintenance = initial - held.size * unit[0], maintenance - held.size * unit[1]
    return initial, maintenance


def test_worked_example_on_the_page_is_what_the_code_says(desk: Desk) -> None:
    page = PAGE.read_text()
    for name, (book, coins) in EXAMPLES.items():
        _, initial, maintenance = desk.hold(*book, coins=coins).margin()
        alone = isolated(desk, coins)
        numbers = (*alone, from_wad(initial), from_wad(maintenance))
        row = f"| {name} | " + " | ".join(f"{number:,.0f}" for number in numbers) + " |"
        assert row in page, row
