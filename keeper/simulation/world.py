"""A scenario's world on a private Anvil: the chain, the protocol on it, and everybody who acts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from keeper.chain.deploy_config import DEFAULT_VENUE, DeployConfig, Quoting, VaultConfig
from keeper.chain.deployer import deploy
from keeper.chain.deployment import Deployment
from keeper.chain.node import Anvil
from keeper.simulation.scenario import Quotes, Scenario, Vault, Venue
from keeper.simulation.script import Script
from keeper.state.snapshot import VenueParameters
from keeper.units import from_bps

T = TypeVar("T")
SETUP_TIME = 3_600
"""Seconds before the start at which the chain begins; deployment takes one second a block."""
HEADROOM = 2
"""A price or surface is too old on chain when it is older than this many publication intervals."""


@dataclass(frozen=True, slots=True)
class World:
    """A chain with the protocol on it."""

    node: Anvil
    deployment: Deployment


@contextmanager
def anvil_world(scenario: Scenario, script: Script) -> Iterator[World]:
    """Starts Anvil, deploys the scenario's protocol, funds its vaults; gone afterwards."""
    with Anvil("lockstep", timestamp=script.start - SETUP_TIME, base_fee=10**9) as node:
        node.rpc.call("anvil_setBlockTimestampInterval", 1)
        deployment = deploy(node.backend(), deploy_config(scenario, script))
        node.rpc.call("anvil_removeBlockTimestampInterval")
        yield World(node, deployment)


def deploy_config(scenario: Scenario, script: Script) -> DeployConfig:
    """What the scenario says about the protocol, over the deployment's defaults."""
    venue = scenario.venue
    config = DeployConfig(
        vaults=tuple(_vault(name, vault) for name, vault in scenario.vaults.items()),
        initial_price=script.price(script.start),
        venue=venue_parameters(venue),
        price_heartbeat=HEADROOM * max(scenario.oracle.heartbeat, script.bars.step),
        vol_heartbeat=HEADROOM * scenario.oracle.volatility_every,
        quorum=scenario.oracle.reporters,
    )
    chosen: dict[str, Any] = {
        "margin": venue.margin,
        "liquidation": venue.liquidation,
        "rate_limit": _over(config.rate_limit, cap=venue.liquidation_cap, window=venue.liquidation_window),
        "deleveraging": _over(config.deleveraging, window=venue.adl_window),
        "pool_deposit": venue.pool,
        "insurance_deposit": venue.insurance,
        "insurance_per_event": venue.insurance_per_event,
    }
    return _over(config, **chosen)


def venue_parameters(venue: Venue) -> VenueParameters:
    """The venue's parameters: the scenario's where it names them, else the defaults."""
    chosen: dict[str, Any] = {
        "skew_scale": venue.skew_scale,
        "maker_fee": None if venue.maker_fee_bps is None else from_bps(venue.maker_fee_bps),
        "taker_fee": None if venue.taker_fee_bps is None else from_bps(venue.taker_fee_bps),
        "settlement_delay": venue.settlement_delay,
        "settlement_window": venue.settlement_window,
        "max_open_interest": venue.max_open_interest,
        "max_open_interest_value": venue.max_open_interest_value,
    }
    return _over(DEFAULT_VENUE, **chosen)


def _over(defaults: T, **chosen: Any) -> T:
    """The defaults with what was chosen in their place."""
    return replace(defaults, **{name: value for name, value in chosen.items() if value is not None})


def _vault(name: str, vault: Vault) -> VaultConfig:
    if vault.kind == "underwriter":
        quotes = vault.quotes or Quotes()
        quoting = Quoting(quotes.half_spread, quotes.vega_skew, quotes.max_vega, min_spread=quotes.min_spread)
        return VaultConfig(name, vault.kind, vault.deposit, quoting=quoting)
    config = VaultConfig(name, vault.kind, vault.deposit, maker=vault.from_)
    return (
        config
        if vault.buys is None
        else replace(config, budget=vault.buys.budget, budget_period=min(config.budget_period, vault.buys.tenor // 2))
    )
