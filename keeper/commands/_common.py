"""Options that several commands share, and the way from them to settings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from keeper.settings import Settings

RpcUrl = Annotated[
    str | None,
    typer.Option(
        "--rpc-url", help="The node: http address or IPC path.  [default: http://127.0.0.1:8545]", show_default=False
    ),
]
DeploymentFile = Annotated[
    Path | None,
    typer.Option("--deployment", help="Deployment file.  [default: deployments/<chain-id>.json]", show_default=False),
]
JournalFile = Annotated[
    Path | None,
    typer.Option(
        "--journal", help="Journal file.  [default: one for each deployment, in journals/]", show_default=False
    ),
]
SettingsFile = Annotated[
    Path | None, typer.Option("--config", help="Settings file.  [default: keeper.toml]", show_default=False)
]
Margin = Annotated[str, typer.Option("--margin", help="isolated, or cross: hedge and options margined together.")]
Liquidation = Annotated[
    str, typer.Option("--liquidation", help="Engine of accounts without options: full, rate-limited or auction.")
]
RemoteDelay = Annotated[
    str | None,
    typer.Option(
        "--remote-delay", help="Also a venue behind a bridge with this delay each way, e.g. 1m.", show_default=False
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]


def venue_choices(margin: str, liquidation: str, remote_delay: str | None) -> dict[str, Any]:
    """These options as fields of `DeployConfig`, which checks them."""
    from keeper.chain.deploy_config import Remote
    from keeper.simulation.durations import parse_duration

    remote = None if remote_delay is None else Remote(min_delay=int(parse_duration(remote_delay)))
    return {"margin": margin, "liquidation": liquidation, "remote": remote}


def settings_from(
    config: Path | None = None,
    rpc_url: str | None = None,
    deployment: Path | None = None,
    journal: Path | None = None,
    **sections: dict[str, Any],
) -> Settings:
    """Settings from file, environment and these options."""
    from keeper.settings import load_settings

    general = {"rpc_url": rpc_url, "deployment": deployment, "journal": journal}
    return load_settings(config, {"keeper": general, **sections})
