"""What the user may set, and where: `keeper.toml`, then the environment, then the command line; the last one wins.

    [keeper]      rpc_url, deployment, journal        KEEPER_RPC_URL, KEEPER_DEPLOYMENT, KEEPER_JOURNAL
    [hedge]       every field of `HedgeConfig`        KEEPER_HEDGE_POLICY, KEEPER_HEDGE_BAND, ...
    [reporter]    every field of `ReporterConfig`     KEEPER_REPORTER_PRICE_HEARTBEAT, ...
    [roller]      every field of `RollerConfig`       KEEPER_ROLLER_TENOR, ...
    [liquidator]  every field of `LiquidatorConfig`   KEEPER_LIQUIDATOR_BID_CAPITAL, ...

Times are seconds, or text like "7d" and "30m". Keys never come from here (see `keeper.execution.keys`).
"""

from __future__ import annotations

import os
import tomllib
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final, TypeVar

from keeper.errors import InputError
from keeper.hedging.decide import HedgeConfig
from keeper.risk.liquidation import LiquidatorConfig
from keeper.roles.reporter import ReporterConfig
from keeper.roles.roller import RollerConfig
from keeper.simulation.durations import parse_duration

DEFAULT_FILE: Final = Path("keeper.toml")
DEFAULT_URL: Final = "http://127.0.0.1:8545"

_TIMES: Final = {"interval", "price_heartbeat", "vol_heartbeat", "tenor", "max_age", "retry", "realised_heartbeat"}
_SECTIONS: Final[Mapping[str, type]] = {
    "hedge": HedgeConfig,
    "reporter": ReporterConfig,
    "roller": RollerConfig,
    "liquidator": LiquidatorConfig,
}
_NAMES: Final = ", ".join(f"[{name}]" for name in ("keeper", *_SECTIONS))
Config = TypeVar("Config")


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that a run of the keeper needs to know.

    ``deployment`` None is `deployments/<chain-id>.json`; ``journal`` None is a file of this deployment in `journals/`.
    """

    rpc_url: str = DEFAULT_URL
    deployment: Path | None = None
    journal: Path | None = None
    hedge: HedgeConfig = field(default_factory=HedgeConfig)
    reporter: ReporterConfig = field(default_factory=ReporterConfig)
    roller: RollerConfig = field(default_factory=RollerConfig)
    liquidator: LiquidatorConfig = field(default_factory=LiquidatorConfig)


def load_settings(
    file: Path | None = None,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Settings:
    """Settings from a file (default `keeper.toml` if it is there), the environment and the command line.

    ``options`` are {section: {name: value}}; a value of None was not given. Raises `InputError` for an unknown name or
    a value that does not fit.
    """
    told = _read(file)
    for section, values in _from_environment(os.environ if environment is None else environment).items():
        told.setdefault(section, {}).update(values)
    for section, given in (options or {}).items():
        told.setdefault(section, {}).update({name: value for name, value in given.items() if value is not None})
    unknown = set(told) - {"keeper", *_SECTIONS}
    if unknown:
        raise InputError(f"keeper.toml has no section [{min(unknown)}]: there are {_NAMES}")
    general = dict(told.get("keeper", {}))
    parts: dict[str, Any] = {name: _build(kind, name, told.get(name, {})) for name, kind in _SECTIONS.items()}
    for name in ("deployment", "journal"):
        if name in general:
            general[name] = Path(general[name])
    return _build(Settings, "keeper", {**general, **parts})


def _read(file: Path | None) -> dict[str, dict[str, Any]]:
    path = file or DEFAULT_FILE
    if file is None and not path.exists():
        return {}
    try:
        told = tomllib.loads(path.read_text())
    except OSError:
        raise InputError(f"cannot read the settings file {path}: does it exist?") from None
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path} is not TOML: {error}") from None
    if any(not isinstance(values, dict) for values in told.values()):
        raise InputError(f"{path}: every setting belongs into a section: {_NAMES}")
    return {section: dict(values) for section, values in told.items()}


def _from_environment(environment: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """KEEPER_HEDGE_BAND is [hedge] band; KEEPER_RPC_URL is [keeper] rpc_url."""
    told: dict[str, dict[str, Any]] = {}
    for section, kind in (("keeper", Settings), *_SECTIONS.items()):
        prefix = "KEEPER_" if section == "keeper" else f"KEEPER_{section.upper()}_"
        for each in fields(kind):
            text = environment.get(prefix + each.name.upper())
            if text is not None and each.name not in _SECTIONS:
                told.setdefault(section, {})[each.name] = text
    return told


def _build(kind: type[Config], section: str, values: Mapping[str, Any]) -> Config:
    known = typing.get_type_hints(kind)
    unknown = set(values) - set(known)
    if unknown:
        raise InputError(f"[{section}] has no setting '{min(unknown)}': it has {', '.join(known)}")
    return kind(**{name: _convert(section, name, known[name], value) for name, value in values.items()})


def _convert(section: str, name: str, kind: Any, value: Any) -> Any:
    """A value as its field wants it; text is read, numbers are checked."""
    if name in _TIMES:
        value = parse_duration(value) if isinstance(value, str) else value
    if isinstance(value, str) and kind is bool:
        if value.lower() not in ("true", "false"):
            raise InputError(f"[{section}] {name} is '{value}': write true or false")
        return value.lower() == "true"
    wanted = next((each for each in (int, float) if each in (kind, *typing.get_args(kind))), None)
    if wanted is None or kind is bool:
        return value
    try:
        number = float(value)
        if wanted is int and number != int(number):
            raise ValueError
        return wanted(number)
    except (TypeError, ValueError, OverflowError):
        raise InputError(
            f"[{section}] {name} is '{value}': it must be {'a whole' if wanted is int else 'a'} number"
        ) from None
