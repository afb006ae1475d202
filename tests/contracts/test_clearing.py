"""Clearinghouse and insurance fund: cash, wiring, the lock, and who may call what."""

from __future__ import annotations

from typing import Any

import pytest
from venue_world import INSURANCE_CASH, NO_ADDRESS, VenueWorld, refusal

from keeper.chain import artifacts
from keeper.chain.abi import Revert
from keeper.chain.contract import Contract
from keeper.units import WAD, to_usdc, to_wad


@pytest.fixture
def world() -> VenueWorld:
    world = VenueWorld()
    world.deposit("trader", 100_000)
    return world


# -- deposits and withdrawals ------------------------------------------------------------------------------------------


def test_deposit_credits_the_named_account_in_wad(world: VenueWorld) -> None:
    world.deposit("other", 0.000001)
    assert world.cash("other") == 10**12
    assert refusal(world.deposit, "other", 0).name == "ZeroAmount"


def test_withdraw_pays_tokens_and_cannot_exceed_cash(world: VenueWorld) -> None:
    world.withdraw("trader", 40_000)
    assert world.token.call("balanceOf", world.account("trader")) == to_usdc(40_000)
    revert = refusal(world.withdraw, "trader", 60_000.000001)
    assert revert.name == "InsufficientCash"
    assert revert.args[1:] == (to_wad(60_000), to_wad(60_000) + 10**12)
    assert refusal(world.withdraw, "trader", 0).name == "ZeroAmount"


def test_withdraw_must_leave_initial_margin_and_never_pays_open_profit(world: VenueWorld) -> None:
    world.trade("trader", 100)
    world.move(3_000)
    equity, initial, _ = world.margin("trader")
    assert equity > to_wad(190_000)
    assert refusal(world.withdraw, "trader", 100_000).name == "InsufficientCash"
    world.move(1_100)
    equity, initial, _ = world.margin("trader")
    assert refusal(world.withdraw, "trader", (equity - initial) / WAD + 1).name == "InsufficientMargin"
    world.withdraw("trader", (equity - initial) / WAD - 1)


def test_withdraw_on_an_old_price_works_only_without_positions(world: VenueWorld) -> None:
    world.trade("trader", 10)
    world.deposit("idle", 1_000)
    world.evm.advance(3_601)
    assert refusal(world.withdraw, "trader", 1).name == "PriceTooOld"
    world.withdraw("idle", 1_000)


# -- wiring and the lock -----------------------------------------------------------------------------------------------


def bare_house(world: VenueWorld) -> Contract:
    return world.evm.deploy("Clearinghouse", world.token.address, world.feed.address, world.admin)


def parts(world: VenueWorld, **changes: str) -> tuple[str, ...]:
    """`IClearinghouse.Parts` of a house without pool and auction, with some changed."""
    names = ("marginModel", "liquidationEngine", "auction", "liquidityPool", "insuranceFund", "waterfall")
    given = dict.fromkeys(names, world.engine.address) | {"auction": NO_ADDRESS, "liquidityPool": NO_ADDRESS}
    return tuple((given | changes).values())


def test_set_up_works_once_and_only_for_the_owner(world: VenueWorld) -> None:
    product = world.evm.deploy("ModuleMock").address
    assert refusal(world.house.send, "setUp", parts(world), [product], sender=world.admin).name == "AlreadySetUp"
    house, stranger = bare_house(world), world.account("stranger")
    assert refusal(house.send, "setUp", parts(world), [product], sender=stranger).name == "OwnableUnauthorizedAccount"
    revert = refusal(house.send, "setUp", parts(world), [product] * 9, sender=world.admin)
    assert (revert.name, revert.args) == ("TooManyProducts", (9,))
    house.send("setUp", parts(world), [product], sender=world.admin)
    assert refusal(house.send, "setUp", parts(world), [product], sender=world.admin).name == "AlreadySetUp"


@pytest.mark.parametrize("name", ["marginModel", "liquidationEngine", "insuranceFund", "waterfall"])
def test_set_up_without_a_part_that_every_house_needs_is_refused(world: VenueWorld, name: str) -> None:
    revert = refusal(bare_house(world).send, "setUp", parts(world, **{name: NO_ADDRESS}), [], sender=world.admin)
    assert (revert.name, revert.args[0].rstrip(b"\0").decode()) == ("MissingPart", name)


def test_set_up_refuses_a_product_that_would_count_twice_and_options_without_an_auction(world: VenueWorld) -> None:
    product = world.evm.deploy("ModuleMock")
    revert = refusal(bare_house(world).send, "setUp", parts(world), [product.address] * 2, sender=world.admin)
    assert (revert.name, revert.args) == ("ListedTwice", (product.address,))
    product.send("setAuctioned", True)
    revert = refusal(bare_house(world).send, "setUp", parts(world), [product.address], sender=world.admin)
    assert (revert.name, revert.args[0].rstrip(b"\0")) == ("MissingPart", b"auction")


def test_house_without_pool_and_auction_works(world: VenueWorld) -> None:
    house, trader = bare_house(world), world.account("trader")
    model = world.evm.deploy("IsolatedMargin", house.address).address
    waterfall = world.evm.deploy("ModuleMock").address
    house.send("setUp", parts(world, marginModel=model, waterfall=waterfall), [], sender=world.admin)
    bank = world.account("bank")
    house.send("deposit", trader, world._mint(bank, house, 100), sender=bank)
    assert house.call("badDebt") == 0
    house.send("withdraw", to_usdc(100), trader, sender=trader)
    assert (house.call("isModule", NO_ADDRESS), house.call("isEngine", NO_ADDRESS)) == (False, False)


def test_accounts_with_auctioned_holdings_go_to_the_auction_and_all_others_to_the_engine(world: VenueWorld) -> None:
    options, futures, auction = (world.evm.deploy("ModuleMock") for _ in range(3))
    options.send("setAuctioned", True)
    house = bare_house(world)
    given = parts(world, auction=auction.address)
    house.send("setUp", given, [options.address, futures.address], sender=world.admin)
    trader, other = world.account("trader"), world.account("other")
    futures.send("hold", trader, 0, 1, 1)
    assert house.call("engineOf", trader) == house.call("engineOf", other) == world.engine.address
    options.send("hold", trader, 0, 1, 1)
    assert house.call("engineOf", trader) == auction.address
    assert house.call("engineOf", other) == world.engine.address
    assert [house.call("isEngine", part.address) for part in (world.engine, auction, options)] == [True, True, False]


def test_cash_paid_in_for_a_part_before_it_is_wired_stays(world: VenueWorld) -> None:
    house, bank = bare_house(world), world.account("bank")
    house.send("deposit", world.engine.address, world._mint(bank, house, 100), sender=bank)
    house.send("setUp", parts(world), [], sender=world.admin)
    assert house.call("cash", world.engine.address) == to_wad(100)


# Who may call what: for each function a call, and how it ends for each caller; None is success. Names that are not
# errors of rights (no cash, no tokens) show that the function only ever touches the caller's own account.
CALLERS = ("stranger", "forwarder", "admin", "product", "waterfall")
ANYBODY = (None,) * 5
MODULES = ("NotModule", "NotModule", "NotModule", None, None)
WATERFALL = ("NotWaterfall", "NotWaterfall", "NotWaterfall", "NotWaterfall", None)
OWNER = ("OwnableUnauthorizedAccount", "OwnableUnauthorizedAccount", None, *("OwnableUnauthorizedAccount",) * 2)
NOT_EVEN_THE_OWNER = (*OWNER[:2], "AlreadySetUp", *OWNER[3:])
NO_TOKENS = ("0x7939f424",) * 5  # TransferFromFailed()
RIGHTS: dict[tuple[str, str], tuple[tuple[Any, ...], tuple[str | None, ...]]] = {
    ("house", "deposit"): (("trader", 1), NO_TOKENS),
    ("house", "withdraw"): ((1, "stranger"), ("InsufficientCash",) * 5),
    ("house", "move"): (("trader", "stranger", WAD, b"gift"), MODULES),
    ("house", "lock"): ((), MODULES),
    ("house", "unlock"): ((), ("NotLockOwner",) * 5),
    ("house", "recordBadDebt"): (("trader",), WATERFALL),
    ("house", "coverBadDebt"): (("trader", WAD), MODULES),
    ("house", "socialise"): ((WAD,), WATERFALL),
    ("house", "setUp"): (((NO_ADDRESS,) * 6, []), NOT_EVEN_THE_OWNER),
    ("house", "transferOwnership"): (("stranger",), OWNER),
    ("house", "renounceOwnership"): ((), OWNER),
    ("fund", "cover"): ((WAD, WAD), WATERFALL),
    ("pool", "cover"): ((WAD, WAD), WATERFALL),
    ("pool", "deposit"): ((1, "stranger"), NO_TOKENS),
    ("pool", "mint"): ((10**12, "stranger"), NO_TOKENS),
    ("pool", "withdraw"): ((1, "stranger", "provider"), ("InsufficientAllowance",) * 5),
    ("pool", "redeem"): ((WAD, "stranger", "provider"), ("InsufficientAllowance",) * 5),
    ("pool", "requestExit"): ((1,), ("ExitTooLarge",) * 5),
    ("pool", "transfer"): (("stranger", 1), ("InsufficientBalance",) * 5),
    ("pool", "transferFrom"): (("provider", "stranger", 1), ("InsufficientAllowance",) * 5),
    ("pool", "approve"): (("stranger", 1), ANYBODY),
    ("pool", "permit"): (("provider", "stranger", 1, 2**40, 27, b"\1" * 32, b"\1" * 32), ("InvalidPermit",) * 5),
}


class Guarded(VenueWorld):
    """A venue whose product and waterfall call what they are told to, with a forwarder that anybody may use."""

    def _waterfall(self, markets: list[str]) -> Contract:
        return self.evm.deploy("ModuleMock")

    def enter(self) -> None:
        """A trader, the forwarder, and a provider that may leave."""
        self.forwarder = self.evm.deploy("ModuleMock")
        self.deposit("trader", 1_000)
        self.provide("provider", 1_000)
        self.leave("provider", 2 * WAD)
        self.move(2_000, int(self.pool.call("COOLDOWN")))

    def call_as(self, caller: str, target: Contract, function: str, *args: Any) -> str | None:
        """How a call ends: the error's name, or None; and everything is as it was."""
        before = self.evm.snapshot()
        try:
            if caller in ("stranger", "admin"):
                target.send(function, *args, sender=self.account(caller))
            else:
                by = {"product": self.module, "waterfall": self.waterfall, "forwarder": self.forwarder}[caller]
                by.send("run", target.address, target.encode(function, *args), sender=self.account("stranger"))
        except Revert as revert:
            return revert.name
        finally:
            self.evm.revert(before)
        return None


@pytest.fixture(scope="module")
def guarded() -> Guarded:
    world = Guarded()
    world.enter()
    return world


@pytest.mark.parametrize(("part", "function"), RIGHTS)
def test_every_function_of_the_clearing_room_refuses_whoever_has_no_right(
    guarded: Guarded, part: str, function: str
) -> None:
    given, endings = RIGHTS[part, function]
    roles = ("trader", "stranger", "provider")
    args = tuple(guarded.account(arg) if isinstance(arg, str) and arg in roles else arg for arg in given)
    ends = tuple(guarded.call_as(caller, getattr(guarded, part), function, *args) for caller in CALLERS)
    assert dict(zip(CALLERS, ends, strict=True)) == dict(zip(CALLERS, endings, strict=True))


def test_no_function_that_changes_anything_is_missing_from_the_table_of_rights() -> None:
    names = {"Clearinghouse": "house", "InsuranceFund": "fund", "LiquidityPool": "pool", "IsolatedMargin": "model"}
    functions = {
        (part, entry["name"])
        for contract, part in names.items()
        for entry in artifacts.load(contract).abi
        if entry["type"] in ("function", "fallback", "receive") and entry["stateMutability"] not in ("view", "pure")
    }
    assert functions == set(RIGHTS)


def test_lock_stops_every_door_and_every_share_price_until_its_owner_opens_it(world: VenueWorld) -> None:
    world.commit("trader", 1)
    world.as_module("lock")
    assert world.house.call("locked") is True
    for door, *arguments in (
        (world.withdraw, "trader", 1),
        (world.deposit, "trader", 1),
        (world.commit, "other", 1),
        (world.settle, "trader", 1),
        (world.settle_deficit,),
        (world.adl, "trader"),
        (world.pool.call, "totalAssets"),
        (world.pool.call, "previewDeposit", 1),
        (world.pool.call, "previewRedeem", 1),
    ):
        assert refusal(door, *arguments).name == "Locked"
    revert = refusal(world.house.send, "unlock", sender=world.account("trader"))
    assert (revert.name, revert.args) == ("NotLockOwner", (world.account("trader"),))
    world.as_module("unlock")
    world.withdraw("trader", 1)


def test_move_lets_a_payer_go_negative_and_keeps_the_total(world: VenueWorld) -> None:
    world.hand_over("trader", "other", to_wad(150_000))
    assert (world.cash("trader"), world.cash("other")) == (-to_wad(50_000), to_wad(150_000))
    assert world.total_cash("trader", "other") == world.custody()


def test_margin_after_a_fill_is_that_of_the_new_size_and_without_the_order(world: VenueWorld) -> None:
    world.trade("trader", 20)
    world.commit("trader", 30)
    price, trader = world.move(2_050) and world.price(), world.account("trader")
    equity, maintenance = world.house.call("marginIfFilled", trader, world.perp.address, to_wad(30), price)
    assert equity == world.margin("trader")[0]
    assert maintenance == world.perp.call("requirements", to_wad(50), price)[1]
    flat = world.house.call("marginIfFilled", trader, world.perp.address, -to_wad(20), price)
    assert flat == (equity, 0)


def test_margin_after_a_fill_counts_every_other_product_as_it_is(world: VenueWorld) -> None:
    price, trader = world.price(), world.account("trader")
    world.module.send("hold", trader, -to_wad(7_000), to_wad(900), to_wad(500))
    equity, maintenance = world.house.call("marginIfFilled", trader, world.perp.address, to_wad(1), price)
    assert equity == to_wad(93_000)
    assert maintenance == to_wad(500) + world.perp.call("requirements", to_wad(1), price)[1]


# -- insurance fund ----------------------------------------------------------------------------------------------------


def test_insurance_pays_at_most_its_cap_an_event_and_what_it_has() -> None:
    world = Guarded(insurance_cash=1_000, max_per_event=400)
    world.hand_over("debtor", "trader", to_wad(5_000))
    for target, function, *args in (
        (world.house, "recordBadDebt", world.account("debtor")),
        (world.fund, "cover", to_wad(300), 0),
        (world.fund, "cover", to_wad(1_000), 0),
        (world.fund, "cover", to_wad(1_000), 0),
    ):
        world.waterfall.send("run", target.address, target.encode(function, *args))
    assert world.cash(world.fund.address) == 0
    assert world.house.call("recordedBadDebt") == to_wad(4_000)


def test_nothing_is_paid_where_there_is_no_bad_debt(world: VenueWorld) -> None:
    assert world.as_module("coverBadDebt", world.fund.address, WAD).events("BadDebtCovered") == []
    assert world.cash(world.fund.address) == to_wad(INSURANCE_CASH)
    assert world.total_cash("trader") == world.custody()
