"""AccountLens: many accounts in one call that equals the separate views, field by field."""

from __future__ import annotations

import pytest
from option_world import OptionWorld, straddle_world
from venue_world import NO_ADDRESS, refusal

from keeper.chain.contract import Contract
from keeper.units import WAD, to_wad

WHO = ("winner", "loser", "waiting", "stranger")


class Scene:
    """Vaults with options, a winner, a loser in auction or not, an order in flight, and the lens."""

    def __init__(self) -> None:
        world = self.world = straddle_world()
        for role, cash in (("winner", 50_000), ("loser", 9_500), ("waiting", 20_000)):
            world.deposit(role, cash)
        world.trade("winner", -20.0)
        world.trade("loser", 50.0)
        world.commit("waiting", 3.0)
        world.later(600, 1_850.0)
        self.lens: Contract = world.evm.deploy("AccountLens")
        self.accounts = [world.account(role) for role in WHO] + [world.underwriter.address, world.scalper.address]

    def look(self, accounts: list[str] | None = None) -> tuple:
        world = self.world
        wanted = self.accounts if accounts is None else accounts
        return self.lens.call("look", world.house.address, [world.perp.address], world.market.address, wanted)


@pytest.fixture(scope="module")
def fresh() -> Scene:
    return Scene()


@pytest.fixture
def scene(fresh: Scene):
    with fresh.world.evm.rolled_back():
        yield fresh


def test_house_is_that_of_feed_clearinghouse_and_waterfall(scene: Scene) -> None:
    world, (house, *_) = scene.world, scene.look()
    price, updated_at, _ = world.feed.call("peek")
    assert house == (
        world.evm.block_number, world.evm.timestamp, world.evm.base_fee,
        price, updated_at, world.feed.call("heartbeat"),
        world.house.call("badDebt"), world.house.call("recordedBadDebt"), world.waterfall.call("adlUntil"),
        world.waterfall.call("profitRatio", price), world.waterfall.call("adlTrigger"),
        world.waterfall.call("adlTarget"),
    )  # fmt: skip


def test_market_is_that_of_the_perp_market(scene: Scene) -> None:
    world, (_, (market,), *_) = scene.world, scene.look()
    parameters = world.perp.call("parameters")
    assert market == (
        world.perp.address, world.perp.call("skew"), *world.perp.call("openInterest"),
        world.waterfall.call("bankruptSide", world.perp.address),
        world.perp.call("liquidationReward", 0, world.price()),
        parameters[11], parameters[2], parameters[0], parameters[4], parameters[20],
    )  # fmt: skip


def test_each_account_is_what_the_separate_views_say(scene: Scene) -> None:
    world, (_, _, seen, positions) = scene.world, scene.look()
    price = world.price()
    assert len(seen) == len(positions) == len(scene.accounts)
    for address, account, position in zip(scene.accounts, seen, positions, strict=True):
        held, total, closing = world.market.call("book", address, price)
        assert account[:8] == (
            address, True, False, world.house.call("cash", address), *world.house.call("margin", address, price),
            world.house.call("engineOf", address),
        )  # fmt: skip
        assert account[8:12] == (sum(abs(each[1]) for each in held), total[0], total[1], closing)
        pnl, funding = world.perp.call("accrued", address, price)
        size, entry, _ = world.perp.call("position", address)
        score = world.waterfall.call("score", world.perp.address, address, price)
        expected = (size, world.perp.call("pendingSize", address), entry, pnl, funding, score)
        assert position == (expected if size else (0, expected[1], 0, 0, 0, 0))


def test_the_scene_shows_what_it_is_about(scene: Scene) -> None:
    """The views compared above are of accounts that differ in what matters."""
    _, _, seen, positions = scene.look()
    winner, loser, waiting, stranger, *_ = positions
    assert winner[5] > 0 == loser[5]
    assert waiting[1] == to_wad(3.0)
    assert stranger == (0, 0, 0, 0, 0, 0)
    assert seen[4][8] == seen[5][8] == 80 * WAD
    assert seen[4][9] == -seen[5][9] < 0
    assert seen[1][4] < seen[1][6]


def test_a_running_auction_shows_its_clock_and_terms(scene: Scene) -> None:
    world = scene.world
    market = world.underwriter.address
    world.as_module("move", market, world.account("thief"), max(world.house.call("cash", market), 0), b"gone")
    world.auction.send("liquidate", market, sender=world.account("liquidator"))
    world.later(300, 1_850.0)
    account = scene.look([market])[2][0]
    assert account[12:14] == world.auction.call("auction", market)[:2]
    assert account[12] > 0
    assert account[14:] == world.auction.call("terms", market, world.price())
    assert account[14] > 0


def test_an_account_that_cannot_be_valued_says_so_and_stops_nothing(scene: Scene) -> None:
    """The token is no option market: whoever asks it for a book is refused."""
    world = scene.world
    arguments = (world.house.address, [world.perp.address], world.token.address, scene.accounts)
    house, markets, accounts, positions = scene.lens.call("look", *arguments)
    assert (house, markets) == scene.look()[:2]
    assert [account[:2] for account in accounts] == [(address, False) for address in scene.accounts]
    assert all(not any(position) for position in positions)
    assert len(positions) == len(accounts)


def test_no_accounts_and_no_markets_show_the_house(scene: Scene) -> None:
    house, markets, accounts, positions = scene.lens.call("look", scene.world.house.address, [], NO_ADDRESS, [])
    assert house == scene.look()[0]
    assert markets == accounts == positions == ()


def test_more_accounts_than_one_call_takes_are_refused(scene: Scene) -> None:
    stranger = scene.world.account("stranger")
    assert len(scene.look([stranger] * 64)[2]) == 64
    assert refusal(scene.look, [stranger] * 65).name == "TooManyAccounts"


def test_locked_clearinghouse_is_refused(scene: Scene) -> None:
    scene.world.freeze()
    assert refusal(scene.look).name == "Locked"


def test_an_old_price_is_shown_and_its_age_with_it(scene: Scene) -> None:
    world: OptionWorld = scene.world
    world.evm.advance(7_200)
    house = scene.look([world.account("winner")])[0]
    assert house[1] - house[4] > house[5]
