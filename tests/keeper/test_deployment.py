"""The one deployer on every engine, and the file that says where everything stands."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from eth_utils.crypto import keccak

from keeper.chain.deploy_config import (
    DEFAULT_LIMITS,
    DEFAULT_VENUE,
    ENGINES,
    Auction,
    Deleveraging,
    DeployConfig,
    RateLimit,
    Remote,
    Shocks,
    VaultConfig,
    as_tuple,
    default_config,
)
from keeper.chain.deployer import NO_ADDRESS, deploy, rehearse
from keeper.chain.deployment import Deployment, hash_of_code, verify
from keeper.chain.dev_accounts import REPORTERS, address_of_role
from keeper.chain.evm import Evm
from keeper.chain.node import Anvil
from keeper.errors import InputError
from keeper.units import to_wad


@pytest.fixture(scope="module")
def on_evm() -> tuple[Evm, Deployment]:
    evm = Evm()
    return evm, deploy(evm, default_config())


@pytest.fixture(scope="module")
def on_anvil() -> Iterator[tuple[Anvil, Deployment]]:
    with Anvil() as chain:
        yield chain, deploy(chain.backend(), default_config())


def test_vaults_hold_their_deposits_and_pool_and_fund_theirs(on_evm: tuple[Evm, Deployment]):
    evm, deployed = on_evm
    house = deployed.contract(evm, "Clearinghouse")
    for vault in default_config().vaults:
        assert house.call("cash", deployed.address(vault.name)) == to_wad(vault.deposit)
        assert deployed.contract(evm, vault.name).call("sharePrice") == 10**18
    assert house.call("cash", deployed.address("LiquidityPool")) == to_wad(default_config().pool_deposit)
    assert house.call("cash", deployed.address("InsuranceFund")) == to_wad(default_config().insurance_deposit)


def test_each_role_is_held_by_its_account_and_by_nobody_else(on_evm: tuple[Evm, Deployment]):
    evm, deployed = on_evm
    mandate = deployed.vault("scalper").mandate
    holders = {
        ("HEDGER", mandate): ["hedger"],
        ("ROLLER", deployed.address("scalper")): ["roller"],
        ("LISTER", deployed.address("OptionMarket")): ["roller"],
        ("REPORTER", deployed.address("PriceFeed")): ["reporter-1"],
        ("REPORTER", deployed.address("VolatilityFeed")): list(REPORTERS),
    }
    names = deployed.interfaces()
    for (role, address), expected in holders.items():
        contract = replace(deployed.contract(evm, "PerpMarket"), address=address)
        contract = type(contract).at(evm, names[address], address)
        held = [name for name, who in deployed.accounts.items() if contract.call("hasRole", keccak(text=role), who)]
        assert held == expected, role


def test_every_parameter_of_venue_and_mandate_arrives(on_evm: tuple[Evm, Deployment]):
    evm, deployed = on_evm
    parameters = deployed.contract(evm, "PerpMarket").call("parameters")
    for name, value in zip(DEFAULT_VENUE.__slots__, parameters, strict=True):
        wanted = getattr(DEFAULT_VENUE, name)
        exact = name.endswith(("_gas", "_delay", "_window", "_base_fee"))
        assert value == (int(wanted) if exact else to_wad(wanted)), name
    mandate = type(deployed.contract(evm, "PerpMarket")).at(evm, "HedgeMandate", deployed.vault("scalper").mandate)
    limits = mandate.call("limits")
    assert limits[:5] == tuple(to_wad(getattr(DEFAULT_LIMITS, name)) for name in DEFAULT_LIMITS.__slots__[:5])


def test_both_engines_get_the_same_addresses(on_evm: tuple[Evm, Deployment], on_anvil: tuple[Anvil, Deployment]):
    """The deployer's transactions alone decide addresses, so they are the same wherever it runs first."""
    assert on_evm[1].interfaces().values() != {}
    assert sorted(on_evm[1].interfaces().values()) == sorted(on_anvil[1].interfaces().values())
    again = Evm()
    assert deploy(again, default_config()).contracts == on_evm[1].contracts


def test_a_file_gives_the_deployment_back(on_anvil: tuple[Anvil, Deployment], tmp_path: Path):
    _, deployed = on_anvil
    path = deployed.save(tmp_path)
    assert path.name == f"{deployed.chain_id}.json"
    assert Deployment.load(path) == deployed


def test_a_fresh_deployment_passes_its_own_check(on_anvil: tuple[Anvil, Deployment]):
    chain, deployed = on_anvil
    before = chain.rpc.count
    verify(deployed, chain.rpc)
    assert len(deployed.code_hashes) == len(deployed.interfaces())
    assert chain.rpc.count - before == 1 + len(deployed.code_hashes)


def test_the_file_of_another_chain_is_refused(on_anvil: tuple[Anvil, Deployment]):
    chain, deployed = on_anvil
    with pytest.raises(InputError, match="is chain 31337 and the deployment is for chain 1"):
        verify(replace(deployed, chain_id=1), chain.rpc)


def test_an_empty_address_is_refused_by_the_contract_s_name(on_anvil: tuple[Anvil, Deployment]):
    chain, deployed = on_anvil
    nowhere = address_of_role("trader")
    moved = {**deployed.contracts, "PerpMarket": nowhere}
    stale = replace(deployed, contracts=moved, code_hashes={**deployed.code_hashes, nowhere: "0x00"})
    with pytest.raises(InputError, match=rf"no PerpMarket at {nowhere}"):
        verify(stale, chain.rpc)


def test_other_code_at_an_address_is_refused(on_anvil: tuple[Anvil, Deployment]):
    chain, deployed = on_anvil
    hashes = {**deployed.code_hashes, deployed.address("VaultLens"): hash_of_code("0x00")}
    with pytest.raises(InputError, match="code of VaultLens"):
        verify(replace(deployed, code_hashes=hashes), chain.rpc)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "is not JSON"),
        ("{}", "is not a deployment file"),
        (
            '{"chain_id": 1, "block": 0, "contracts": {}, "vaults": {}, "accounts": {}, "code_hashes": {}}',
            "Clearinghouse",
        ),
    ],
)
def test_a_malformed_file_is_refused_with_what_to_do(tmp_path: Path, text: str, complaint: str):
    (tmp_path / "1.json").write_text(text)
    with pytest.raises(InputError, match=complaint) as refusal:
        Deployment.load(tmp_path / "1.json")
    assert "keeper deploy" in str(refusal.value)


def test_a_file_with_a_wrong_address_is_refused(on_anvil: tuple[Anvil, Deployment], tmp_path: Path):
    path = on_anvil[1].save(tmp_path)
    stored = json.loads(path.read_text())
    stored["contracts"]["PerpMarket"] = "0x123"
    path.write_text(json.dumps(stored))
    with pytest.raises(InputError, match="not a deployment file"):
        Deployment.load(path)


def test_a_missing_file_is_refused_with_what_to_do(tmp_path: Path):
    with pytest.raises(InputError, match="keeper deploy"):
        Deployment.load(tmp_path / "1.json")


@pytest.mark.parametrize(
    ("vaults", "complaint"),
    [
        ((VaultConfig("a", "hoarder", 1.0),), "'hoarder'"),
        ((VaultConfig("a", "scalper", 1.0, maker="b"),), "buys from b"),
        ((VaultConfig("a", "underwriter", 1.0), VaultConfig("a", "underwriter", 1.0)), "same name"),
    ],
)
def test_a_configuration_that_cannot_stand_is_refused_before_anything_is_sent(
    vaults: tuple[VaultConfig, ...], complaint: str
):
    evm = Evm()
    with pytest.raises(InputError, match=complaint):
        deploy(evm, replace(default_config(), vaults=vaults))
    assert not evm.has_code("0x5FbDB2315678afecb367f032d93F642f64180aa3")


def test_a_quorum_beyond_the_reporters_is_refused():
    with pytest.raises(InputError, match="quorum is 4"):
        deploy(Evm(), replace(default_config(), quorum=4))


def test_an_unknown_name_is_refused_with_the_known_ones(on_evm: tuple[Evm, Deployment]):
    with pytest.raises(InputError, match="PerpMarket"):
        on_evm[1].address("Nothing")
    with pytest.raises(InputError, match="underwriter, scalper"):
        on_evm[1].vault("nothing")


def test_a_token_of_the_chain_must_be_owned_before_it_is_deposited():
    evm = Evm()
    token = evm.deploy("TestToken", "USD Coin", "USDC", 6)
    with pytest.raises(InputError, match="fund it first"):
        deploy(evm, replace(default_config(), token=token.address))


# Margin, liquidation, houses


def bare(**changes: object) -> DeployConfig:
    return replace(default_config(), **{"vaults": (), **changes})


def wiring(evm: Evm, deployed: Deployment, house: str = "") -> dict[str, str]:
    contract = deployed.contract(evm, house + "Clearinghouse")
    names = {address: name for name, address in deployed.contracts.items()} | {NO_ADDRESS: ""}
    parts = ("marginModel", "liquidationEngine", "auction", "liquidityPool", "insuranceFund", "waterfall")
    return {part: names[contract.call(part)] for part in parts}


@pytest.mark.parametrize(("margin", "model"), [("isolated", "IsolatedMargin"), ("cross", "PortfolioMargin")])
@pytest.mark.parametrize("liquidation", list(ENGINES))
def test_margin_model_and_engine_are_a_matter_of_configuration(margin: str, model: str, liquidation: str):
    evm = Evm()
    deployed = deploy(evm, bare(margin=margin, liquidation=liquidation))
    assert wiring(evm, deployed) == {
        "marginModel": model,
        "liquidationEngine": ENGINES[liquidation],
        "auction": "DutchAuctionLiquidation",
        "liquidityPool": "LiquidityPool",
        "insuranceFund": "InsuranceFund",
        "waterfall": "Waterfall",
    }
    assert deployed.engines()[-1] == deployed.address("DutchAuctionLiquidation")


def test_settings_of_margin_and_engines_arrive():
    evm = Evm()
    changes = {"rate_limit": RateLimit(20, 70.0, 0.2), "deleveraging": Deleveraging(300, 0.9, 0.5)}
    deployed = deploy(evm, bare(margin="cross", liquidation="rate-limited", price_band=0.01, **changes))
    engine, waterfall = deployed.contract(evm, "RateLimitedLiquidation"), deployed.contract(evm, "Waterfall")
    limits = (engine.call("window"), engine.call("cap"), engine.call("buffer"))
    assert limits == (20, to_wad(70.0), to_wad(0.2))
    settings = (waterfall.call("adlWindow"), waterfall.call("adlTrigger"), waterfall.call("adlTarget"))
    assert settings == (300, to_wad(0.9), to_wad(0.5))
    auction = deployed.contract(evm, "DutchAuctionLiquidation")
    fields = ("fastTime", "slowTime", "insolventTime", "startGas", "start", "fastEnd", "buffer")
    assert tuple(auction.call(field) for field in fields) == as_tuple(Auction())
    assert deployed.contract(evm, "LiquidityPool").call("priceBand") == to_wad(0.01)


def test_a_fragmented_deployment_has_options_and_perps_on_clearinghouses_of_their_own():
    evm = Evm()
    deployed = deploy(evm, bare(margin="fragmented"))
    assert deployed.houses == ("", "options/")
    assert wiring(evm, deployed)["auction"] == ""
    options = wiring(evm, deployed, "options/")
    assert (options["liquidityPool"], options["auction"]) == ("", "options/DutchAuctionLiquidation")
    perps, books = (deployed.contract(evm, f"{house}Clearinghouse").call("products") for house in deployed.houses)
    assert (tuple(perps), tuple(books)) == ((deployed.address("PerpMarket"),), (deployed.address("OptionMarket"),))
    assert deployed.contract(evm, "OptionMarket").call("clearinghouse") == deployed.address("options/Clearinghouse")


def test_a_remote_venue_stands_behind_its_bridge():
    evm = Evm()
    deployed = deploy(evm, bare(remote=Remote(min_delay=30, lifetime=600, max_age=900)))
    bridge = deployed.contract(evm, "DelayedBridge")
    assert deployed.houses == ("", "remote/")
    assert bridge.call("settings") == (30, 600, 900)
    assert bridge.call("hasRole", keccak(text="RELAYER"), deployed.address("relayer"))
    assert bridge.call("market") == deployed.address("remote/PerpMarket")
    assert deployed.address("PerpMarket") != deployed.address("remote/PerpMarket")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"margin": "crossed"}, "margin is 'crossed': choose isolated, cross, fragmented"),
        ({"liquidation": "none"}, "choose full, rate-limited, auction"),
        ({"margin": "fragmented", "vaults": default_config().vaults}, "a vault has one account"),
        ({"liquidation": "rate-limited", "rate_limit": RateLimit(cap=20_000.0)}, "at most 17500, 5% of the skew scale"),
        ({"rate_limit": RateLimit(window=61)}, "rate_limit.window is 61"),
        ({"auction": Auction(fast_end=0.99)}, "auction.fast_end is 0.99"),
        ({"shocks": Shocks(spot_tail=0.1)}, "shocks.spot_tail is 0.1"),
        ({"deleveraging": Deleveraging(trigger=0.5, target=0.6)}, "deleveraging.target is 0.6"),
        ({"remote": Remote(min_delay=60, lifetime=60)}, "remote.lifetime is 60"),
        ({"price_band": 0.2}, "price_band is 0.2"),
        ({"venue": replace(DEFAULT_VENUE, min_margin=1.0)}, "minMargin cannot be 1000000000000000000"),
        ({"venue": replace(DEFAULT_VENUE, max_order_size=10.0**6)}, "maxOrderSize cannot be"),
    ],
)
def test_a_venue_that_cannot_be_is_refused_before_anything_is_sent(changes: dict, words: str):
    evm = Evm()
    with pytest.raises(InputError, match=re.escape(words)):
        deploy(evm, bare(**changes))
    assert evm.block_number == Evm().block_number


def test_a_rehearsal_leaves_the_default_alone():
    rehearse(default_config())


def test_the_file_keeps_houses_apart(tmp_path: Path):
    deployed = deploy(Evm(), bare(margin="fragmented"))
    again = Deployment.load(deployed.save(tmp_path))
    assert again == deployed
    assert again.interfaces()[again.address("options/Clearinghouse")] == "Clearinghouse"
    with pytest.raises(InputError, match="has no VaultRouter"):
        again.address("VaultRouter")
