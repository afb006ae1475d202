"""`keeper up`: a chain with everything on it, left running."""

from __future__ import annotations

import asyncio
import math
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from keeper.commands._common import AsJson, Liquidation, Margin, RemoteDelay, venue_choices
from keeper.commands._output import print_json
from keeper.errors import ChainError, InputError
from keeper.units import SECONDS_PER_DAY, to_usdc

if TYPE_CHECKING:
    from keeper.chain.deployment import Deployment
    from keeper.chain.node import Anvil
    from keeper.chain.rpc import Rpc
    from keeper.roles.sources import BarMarket, MarketSource
    from keeper.state.bars import Bars

FORK_HEARTBEAT: Final = SECONDS_PER_DAY
"""On a fork nobody updates the aggregator any more, so its last price must do for a while."""
ENDOWMENT: Final = 10**24
"""Wei for each account."""

KNOWN_FORKS: Final = {
    1: ("0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48", "0x5f4eC3Df9cbd43714FE2740f5E3616155c5b8419"),
}
"""USDC and the ETH/USD aggregator of chains that we know, by chain id."""


def add(app: typer.Typer) -> None:
    """Mount the command."""
    app.command("up")(up)


def up(
    fork_url: Annotated[
        str | None, typer.Option(help="Fork this chain instead of an empty one.", show_default=False)
    ] = None,
    token: Annotated[str | None, typer.Option(help="On a fork: the USDC to use.", show_default=False)] = None,
    aggregator: Annotated[
        str | None, typer.Option(help="On a fork: the ETH/USD aggregator to wrap.", show_default=False)
    ] = None,
    port: Annotated[int, typer.Option(help="Port of the node; 0 takes a free one.")] = 8545,
    prices: Annotated[
        Path | None,
        typer.Option(help="CSV of bars to replay.  [default: a crash of our own making]", show_default=False),
    ] = None,
    speed: Annotated[float, typer.Option(help="Seconds of the market for each second of the chain.")] = 1.0,
    block_time: Annotated[int, typer.Option(help="Seconds between blocks.")] = 1,
    margin: Margin = "isolated",
    liquidation: Liquidation = "full",
    remote_delay: RemoteDelay = None,
    folder: Annotated[Path, typer.Option(help="Where the deployment file goes.")] = Path("deployments"),
    as_json: AsJson = False,
) -> None:
    """Start a chain, deploy everything, report prices and vols on it, and leave it running until Ctrl-C.

    Then, in another terminal: keeper run, keeper status --watch. On a fork the feed wraps the aggregator, which nobody
    updates there any more; with --prices it has rounds of its own.
    """
    from keeper.chain.node import Anvil
    from keeper.data.prices import load_bars

    _check(port, block_time, speed)
    venue = venue_choices(margin, liquidation, remote_delay)
    bars = None if prices is None else load_bars(prices)
    if fork_url is not None:
        _check_fork(fork_url)
    started = None if fork_url else int(time.time())
    with Anvil("live", timestamp=started, block_time=None, port=port or None, fork_url=fork_url) as chain:
        source, deployment = _deploy(chain, bars, speed, fork_url, token, aggregator, venue)
        path = deployment.save(folder)
        chain.rpc.call("evm_setIntervalMining", block_time)
        _announce(chain, deployment, path, as_json)
        asyncio.run(_report(chain, deployment, source))


def _check(port: int, block_time: int, speed: float) -> None:
    """Raise `InputError` for a number that no chain can be started with."""
    if not 0 <= port <= 65_535:
        raise InputError(f"--port is {port}: a port lies between 1 and 65535; 0 takes a free one")
    if block_time < 1:
        raise InputError(f"--block-time is {block_time}: a block takes at least 1 second")
    if not (math.isfinite(speed) and speed > 0.0):
        raise InputError(f"--speed is {speed}: it must be a positive number, 1 for the market's own pace")


def _check_fork(url: str) -> None:
    """Raise `InputError` unless a node answers there; other roads than HTTP are Anvil's to try."""
    from keeper.chain.rpc import Rpc

    if url.startswith(("http://", "https://")):
        try:
            with Rpc(url) as rpc:
                rpc.call("eth_chainId")
        except ChainError as error:
            raise InputError(f"cannot fork: {error}; give --fork-url the address of a node that runs") from None


def _deploy(
    chain: Anvil,
    bars: Bars | None,
    speed: float,
    fork_url: str | None,
    token: str | None,
    aggregator: str | None,
    venue: Mapping[str, Any],
) -> tuple[MarketSource, Deployment]:
    from keeper.chain.deploy_config import default_config
    from keeper.chain.deployer import deploy
    from keeper.chain.dev_accounts import address_of_role, dev_addresses
    from keeper.roles.sources import FlatMarket
    from keeper.units import from_wad

    for address in dev_addresses().values():
        chain.set_balance(address, ENDOWMENT)
    config = replace(default_config(), **venue)
    if fork_url is not None:
        token, aggregator = _on_fork(chain.rpc, token, aggregator)
        config = replace(config, token=token)
    if fork_url is None or bars is not None:
        market = _bar_market(chain.rpc, bars, speed)
        config = replace(config, initial_price=market.price(market.start))
    else:
        config = replace(config, aggregator=aggregator, price_heartbeat=FORK_HEARTBEAT)
    for role in ("liquidity-provider", "depositor") if token else ():
        chain.rpc.call("anvil_dealERC20", address_of_role(role), token, hex(to_usdc(100_000_000.0)))
    deployment = deploy(chain.backend(), config)
    if config.aggregator is None:
        return market, deployment
    price, _, _ = deployment.contract(chain.backend(), "PriceFeed").call("peek")
    return FlatMarket(from_wad(price)), deployment


def _bar_market(rpc: Rpc, bars: Bars | None, speed: float) -> BarMarket:
    import numpy as np

    from keeper.chain.reader import newest_block
    from keeper.market.crash import crash_bars
    from keeper.roles.sources import BarMarket

    now = newest_block(rpc, 0).timestamp
    return BarMarket(crash_bars(np.random.default_rng(1), now) if bars is None else bars, now, speed)


def _on_fork(rpc: Rpc, token: str | None, aggregator: str | None) -> tuple[str, str]:
    chain_id = int(rpc.call("eth_chainId"), 16)
    known_token, known_aggregator = KNOWN_FORKS.get(chain_id, (None, None))
    token, aggregator = token or known_token, aggregator or known_aggregator
    if token is None or aggregator is None:
        raise InputError(
            f"chain {chain_id} is not one that we know: say --token (its USDC) and --aggregator (its ETH/USD feed)"
        )
    return token, aggregator


def _announce(chain: Anvil, deployment: Deployment, path: Path, as_json: bool) -> None:
    """Where everything is. The keys are those of every development chain and open nothing elsewhere."""
    from keeper.chain.dev_accounts import DEV_ROLES, address_of_role, key_of_role

    keys = {role: "0x" + key_of_role(role).hex() for role in DEV_ROLES}
    if as_json:
        print_json({"url": chain.url, "ipc": str(chain.ipc), **asdict(deployment), "keys": keys, "file": str(path)})
    else:
        for name, address in deployment.contracts.items():
            print(f"{name:24} {address}")
        for name, vault in deployment.vaults.items():
            print(f"{name:24} {vault.address}  mandate {vault.mandate}")
        for role in DEV_ROLES:
            print(f"{role:24} {address_of_role(role)}  key {keys[role]}")
        print(f"chain {deployment.chain_id} at {chain.url} and {chain.ipc}; deployment in {path}; Ctrl-C ends it")
        print(f"next: keeper run --rpc-url {chain.url}")
    sys.stdout.flush()


async def _report(chain: Anvil, deployment: Deployment, source: MarketSource) -> None:
    """Play the reporter until Ctrl-C."""
    from keeper.app import open_reporter
    from keeper.commands._stop import stop_on_signals
    from keeper.roles.loop import run_live

    stop = stop_on_signals()
    keeper = open_reporter(chain.url, deployment, source)
    await run_live(keeper.roles, keeper.reader, keeper.executor, stop)
