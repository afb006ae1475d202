"""`keeper deploy`: the whole protocol onto a running chain."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from keeper.commands._common import AsJson, Liquidation, Margin, RemoteDelay, RpcUrl


def add(app: typer.Typer) -> None:
    """Mount the command."""
    app.command("deploy")(deploy)


def deploy(
    rpc_url: RpcUrl = None,
    price: Annotated[float, typer.Option(help="First price of the feed, USD.")] = 2_000.0,
    token: Annotated[
        str | None, typer.Option(help="USDC that is on the chain already.  [default: a test token]", show_default=False)
    ] = None,
    aggregator: Annotated[
        str | None,
        typer.Option(help="Chainlink-style aggregator to wrap.  [default: a feed of our own]", show_default=False),
    ] = None,
    margin: Margin = "isolated",
    liquidation: Liquidation = "full",
    remote_delay: RemoteDelay = None,
    folder: Annotated[Path, typer.Option(help="Where the deployment file goes.")] = Path("deployments"),
    as_json: AsJson = False,
) -> None:
    """Deploy the protocol to a running development chain and write deployments/<chain-id>.json.

    A scalper vault and an underwriter vault are funded. The well-known development accounts hold the roles.
    """
    from dataclasses import asdict, replace

    from keeper.chain.deploy_config import default_config
    from keeper.chain.deployer import deploy as deploy_to
    from keeper.chain.dev_accounts import DEV_ROLES, address_of_role, key_of_role
    from keeper.chain.rpc import Rpc, RpcBackend
    from keeper.commands._common import settings_from, venue_choices
    from keeper.commands._output import print_json

    rpc = Rpc(settings_from(rpc_url=rpc_url).rpc_url)
    rpc.call("eth_chainId")
    keys = {address_of_role(role): key_of_role(role) for role in DEV_ROLES}
    venue = venue_choices(margin, liquidation, remote_delay)
    config = replace(default_config(), initial_price=price, token=token, aggregator=aggregator, **venue)
    deployment = deploy_to(RpcBackend(rpc, keys=keys), config)
    path = deployment.save(folder)
    if as_json:
        print_json({**asdict(deployment), "file": str(path)})
        return
    for name, address in deployment.contracts.items():
        print(f"{name:24} {address}")
    for name, vault in deployment.vaults.items():
        print(f"{name:24} {vault.address}  mandate {vault.mandate}")
    print(f"written to {path}; hedge it with: keeper run --rpc-url {rpc.address}")
