"""`ape run deploy`: the whole protocol onto the chain that ape is connected to; writes deployments/<chain-id>.json.

    ape run deploy --network ethereum:local:foundry
    ape run deploy --network http://127.0.0.1:8545

The deployer is the keeper's own, and so are its accounts: those of every development chain.
"""

from __future__ import annotations

from pathlib import Path

import click
from ape.cli import ConnectedProviderCommand, ape_cli_context

from keeper.chain.deploy_config import default_config
from keeper.chain.deployer import deploy
from keeper.chain.dev_accounts import DEV_ROLES, address_of_role, key_of_role
from keeper.chain.rpc import Rpc, RpcBackend


@click.command(cls=ConnectedProviderCommand)
@click.option("--folder", type=click.Path(path_type=Path), default=Path("deployments"), show_default=True)
@ape_cli_context()
def cli(cli_ctx, provider, folder: Path) -> None:
    """Deploy the protocol and write where everything is."""
    keys = {address_of_role(role): key_of_role(role) for role in DEV_ROLES}
    deployment = deploy(RpcBackend(Rpc(provider.http_uri), keys=keys), default_config())
    path = deployment.save(folder)
    for name, address in deployment.contracts.items():
        click.echo(f"{name:18} {address}")
    for name, vault in deployment.vaults.items():
        click.echo(f"{name:18} {vault.address}  mandate {vault.mandate}")
    cli_ctx.logger.success(f"written to {path}")
