"""The one deployer: the whole protocol onto any engine, wired, with its roles granted and its accounts funded.

The same steps run in the in-process EVM, on a private Anvil, and on a chain whose keys are ours. Whatever is random or
timed elsewhere is not here: the same configuration (`keeper.chain.deploy_config`) gives the same contracts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass, field, replace
from typing import Any, Final

from eth_utils.crypto import keccak

from keeper.chain import artifacts, contract
from keeper.chain.abi import Revert
from keeper.chain.contract import Backend, Contract
from keeper.chain.deploy_config import (
    ENGINES,
    NO_ADDRESS,
    DeployConfig,
    Remote,
    VaultConfig,
    as_tuple,
    check,
    limits_tuple,
    price_limits,
    price_sources,
    venue_tuple,
)
from keeper.chain.deployment import HOME, OPTIONS, REMOTE, Deployment, VaultEntry, contract_of, hash_of_code
from keeper.chain.dev_accounts import REPORTERS, dev_addresses
from keeper.chain.evm import Evm
from keeper.chain.rpc import RpcBackend
from keeper.errors import InputError
from keeper.telemetry import step
from keeper.units import to_usdc, to_wad

_CONTRACTS: Final = (
    "TestToken", "PriceFeed", "RealizedVolatility", "VolatilityFeed", "Clearinghouse", "PerpMarket", "LiquidityPool",
    "InsuranceFund", "Waterfall", "DutchAuctionLiquidation", "OptionMarket", "UnderwriterVault", "ScalperVault",
    "HedgeMandate", "VaultLens", "AccountLens",
)  # fmt: skip
_ELSEWHERE: Final = ("token", "aggregator", "second_aggregator", "sequencer")
"""Addresses on the chain to deploy on, which a rehearsal knows nothing of."""


def deploy(backend: Backend, config: DeployConfig, accounts: Mapping[str, str] | None = None) -> Deployment:
    """Deploy, wire, grant, fund. ``accounts`` says who holds which role (default: the development accounts).

    Raises `InputError` for a configuration that cannot be deployed, before anything is sent.
    """
    rehearse(config)
    with step("deploying the protocol"):
        return _Deployer(backend, config, accounts or dev_addresses()).run()


def rehearse(config: DeployConfig) -> None:
    """Deploy without money in the in-process EVM: what the contracts refuse, nobody need find out on a chain.

    Raises `InputError` with the parameter and its value. Takes some hundredths of a second.
    """
    check(config)
    artifacts.load_all(_wanted(config))
    vaults = tuple(replace(vault, deposit=0.0) for vault in config.vaults)
    poor = replace(config, vaults=vaults, pool_deposit=0.0, insurance_deposit=0.0, **dict.fromkeys(_ELSEWHERE))
    try:
        _Deployer(Evm(), poor, dev_addresses()).run()
    except Revert as refusal:
        raise InputError(f"the contracts refuse this configuration: {_told(refusal)}") from None


def _told(refusal: Revert) -> str:
    """A refusal in words; a bad setting by its name and value."""
    name, *rest = refusal.args or ("",)
    if not isinstance(name, bytes) or len(rest) != 1:
        return str(refusal)
    return f"{name.rstrip(bytes(1)).decode(errors='replace')} cannot be {rest[0]} (wad where it is no whole number)"


def _wanted(config: DeployConfig) -> tuple[str, ...]:
    """Every contract that a configuration needs."""
    model = "PortfolioMargin" if config.margin == "cross" else "IsolatedMargin"
    bridge = () if config.remote is None else ("DelayedBridge",)
    return tuple(dict.fromkeys((*_CONTRACTS, model, "IsolatedMargin", ENGINES[config.liquidation], *bridge)))


@dataclass
class _Deployer:
    backend: Backend
    config: DeployConfig
    accounts: Mapping[str, str]
    libraries: dict[str, str] = field(default_factory=dict)
    contracts: dict[str, Contract] = field(default_factory=dict)
    vaults: dict[str, Contract] = field(default_factory=dict)

    def run(self) -> Deployment:
        block = self._block_number()
        with step("deploying the token and the oracles"):
            self._oracles()
        with step("deploying the clearing and the markets"):
            self._houses()
        with step("deploying the vaults"):
            vaults = self._vaults()
        with step("funding the pool and the vaults"):
            self._fund()
        addresses = {name: deployed.address for name, deployed in self.contracts.items()}
        held = [*addresses.values(), *(v.address for v in vaults.values()), *(v.mandate for v in vaults.values())]
        return Deployment(self._chain_id(), block, addresses, vaults, dict(self.accounts), self._hashes(held))

    # Steps, in order

    def _oracles(self) -> None:
        config, admin = self.config, self.accounts["deployer"]
        token = config.token
        self.contracts["Token"] = (
            self._new("TestToken", "USD Coin", "USDC", 6)
            if token is None
            else Contract.at(self.backend, "TestToken", token)
        )
        sources = price_sources(config.aggregator, config.second_aggregator, config.sequencer)
        limits = price_limits(config.price_heartbeat, config.max_move, config.price_checks)
        feed = self._deploy("PriceFeed", admin, sources, limits)
        limits = as_tuple(config.surface_limits)
        surface = self._deploy("VolatilityFeed", admin, config.vol_heartbeat, config.quorum, NO_ADDRESS, limits)
        self._grant(feed, "REPORTER", [self.accounts["reporter-1"]])
        self._grant(surface, "REPORTER", [self.accounts[role] for role in REPORTERS])
        self._refresh_price()
        self._deploy("RealizedVolatility", feed, as_tuple(config.realized))

    def _options(self, prefix: str) -> Contract:
        house, admin = self.contracts[prefix + "Clearinghouse"], self.accounts["deployer"]
        surface, spread = self.contracts["VolatilityFeed"], to_wad(self.config.closing_spread)
        options = self._deploy(prefix + "OptionMarket", house, surface, spread, admin)
        self._grant(options, "LISTER", [self.accounts["roller"]])
        return options

    def _houses(self) -> None:
        """One clearinghouse with everything, or one for perps and another for options; perhaps a remote one."""
        if self.config.margin == "fragmented":
            self._house(HOME, perp=True, options=False)
            self._house(OPTIONS, perp=False, options=True)
        else:
            self._house(HOME, perp=True, options=True)
        if self.config.remote is not None:
            self._house(REMOTE, perp=True, options=False)
            self._bridge(self.config.remote)
        self._deploy("VaultLens")
        self._deploy("AccountLens")

    def _house(self, prefix: str, perp: bool, options: bool) -> None:
        """A clearinghouse with its markets, everything that backs it, and the wiring, which is final."""
        config, admin = self.config, self.accounts["deployer"]
        house = self._deploy(prefix + "Clearinghouse", self.contracts["Token"], self.contracts["PriceFeed"], admin)
        perps = [self._deploy(prefix + "PerpMarket", house, admin, venue_tuple(config.venue))] if perp else []
        books = [self._options(prefix)] if options else []
        markets = [market.address for market in perps]
        option_market = books[0].address if books else NO_ADDRESS
        pool: Contract | str = NO_ADDRESS
        if perp:
            ratio, band = to_wad(config.locked_ratio), to_wad(config.price_band)
            pool = self._deploy(prefix + "LiquidityPool", house, markets, ratio, band)
        fund = self._deploy(prefix + "InsuranceFund", house, to_wad(config.insurance_per_event))
        waterfall = self._deploy(prefix + "Waterfall", house, markets, *as_tuple(config.deleveraging))
        model = self._model(prefix, house, markets, option_market)
        auction = self._auction(prefix, house, markets, option_market)
        engine = self._engine(prefix, house, markets, auction, perp)
        parts = (model, engine, auction, pool, fund, waterfall)
        addresses = tuple(part if isinstance(part, str) else part.address for part in parts)
        self._send(house, "setUp", addresses, [*markets, *(book.address for book in books)])

    def _model(self, prefix: str, house: Contract, markets: list[str], option_market: str) -> Contract:
        if self.config.margin != "cross":
            return self._deploy(prefix + "IsolatedMargin", house)
        return self._deploy(prefix + "PortfolioMargin", house, markets, option_market, as_tuple(self.config.shocks))

    def _auction(self, prefix: str, house: Contract, markets: list[str], option_market: str) -> Contract | str:
        """Wherever there are options, and where it is the engine for everything."""
        if option_market == NO_ADDRESS and self.config.liquidation != "auction":
            return NO_ADDRESS
        settings = as_tuple(self.config.auction)
        return self._deploy(prefix + "DutchAuctionLiquidation", house, markets, option_market, settings)

    def _engine(
        self, prefix: str, house: Contract, markets: list[str], auction: Contract | str, perp: bool
    ) -> Contract | str:
        """The engine of accounts without options; a house without perps has none but the auction."""
        if self.config.liquidation == "auction" or not perp:
            return auction
        name, limit = ENGINES[self.config.liquidation], self.config.rate_limit
        limits = as_tuple(limit) if self.config.liquidation == "rate-limited" else ()
        return self._deploy(prefix + name, house, markets, *limits)

    def _bridge(self, remote: Remote) -> None:
        house, market = self.contracts[REMOTE + "Clearinghouse"], self.contracts[REMOTE + "PerpMarket"]
        bridge = self._deploy("DelayedBridge", house, market, self.accounts["deployer"], as_tuple(remote))
        self._grant(bridge, "RELAYER", [self.accounts["relayer"]])

    def _vaults(self) -> dict[str, VaultEntry]:
        built: dict[str, VaultEntry] = {}
        for vault in sorted(self.config.vaults, key=lambda vault: vault.kind == "scalper"):  # makers first
            built[vault.name] = self._vault(vault, built)
        return {vault.name: built[vault.name] for vault in self.config.vaults}

    def _vault(self, vault: VaultConfig, built: Mapping[str, VaultEntry]) -> VaultEntry:
        admin, markets = self.accounts["deployer"], [self.contracts["PerpMarket"].address]
        house, options = self.contracts["Clearinghouse"], self.contracts["OptionMarket"]
        common = (house, options, markets, f"{vault.name.title()} Vault", vault.name.upper()[:8], admin)
        if vault.kind == "scalper":
            maker = built[str(vault.maker)].address
            limits = (maker, to_wad(vault.budget), vault.budget_period, to_wad(vault.max_edge))
            deployed = self._new("ScalperVault", *common, *limits)
            self._grant(deployed, "ROLLER", [self.accounts["roller"]])
        else:
            maker = None
            deployed = self._new("UnderwriterVault", *common)
            if vault.quoting is not None:
                self._send(deployed, "setQuoting", (True, *(to_wad(part) for part in astuple(vault.quoting))))
        self.vaults[vault.name] = deployed
        mandate = self._new("HedgeMandate", deployed, admin, limits_tuple(vault.limits))
        self._grant(mandate, "HEDGER", [self.accounts["hedger"]])
        self._send(deployed, "setMandate", mandate)
        return VaultEntry(deployed.address, vault.kind, mandate.address, maker, vault.budget)

    def _fund(self) -> None:
        """Money for the pools, the funds and the vaults, from the accounts that own it."""
        self._refresh_price()
        config, depositor = self.config, self.accounts["depositor"]
        self._back(HOME, config.pool_deposit, config.insurance_deposit)
        if config.margin == "fragmented":
            self._back(OPTIONS, 0.0, config.insurance_deposit)
        if config.remote is not None:
            self._back(REMOTE, config.pool_deposit, config.insurance_deposit)
        for vault in config.vaults:
            if vault.deposit > 0.0:
                deployed = self.vaults[vault.name]
                self._supply(depositor, deployed, vault.deposit)
                self._send(deployed, "deposit", to_usdc(vault.deposit), depositor, sender=depositor)

    def _back(self, prefix: str, pool_deposit: float, insurance_deposit: float) -> None:
        """Deposits for one house's liquidity pool and insurance fund."""
        provider = self.accounts["liquidity-provider"]
        if pool_deposit > 0.0:
            pool = self.contracts[prefix + "LiquidityPool"]
            self._supply(provider, pool, pool_deposit)
            self._send(pool, "deposit", to_usdc(pool_deposit), provider, sender=provider)
        if insurance_deposit > 0.0:
            house, fund = self.contracts[prefix + "Clearinghouse"], self.contracts[prefix + "InsuranceFund"]
            self._supply(provider, house, insurance_deposit)
            self._send(house, "deposit", fund.address, to_usdc(insurance_deposit), sender=provider)

    # Small steps

    def _supply(self, owner: str, spender: Contract, usd: float) -> None:
        """Give an account test dollars, where the dollar is ours, and let ``spender`` take them."""
        token, amount = self.contracts["Token"], to_usdc(usd)
        if self.config.token is None:
            self._send(token, "mint", owner, amount)
        elif (held := token.call("balanceOf", owner)) < amount:
            raise InputError(
                f"{owner} holds {held / 1e6:,.0f} of the token {token.address} and must deposit {usd:,.0f}: "
                "fund it first, or deploy with smaller deposits"
            )
        self._send(token, "approve", spender, amount, sender=owner)

    def _refresh_price(self) -> None:
        feed = self.contracts["PriceFeed"]
        try:
            if self.config.aggregator is not None:
                self._send(feed, "pull")
            else:
                reporter = self.accounts["reporter-1"]
                self._send(feed, "publish", to_wad(self.config.initial_price), sender=reporter)
        except Revert as refusal:
            if refusal.name != "PriceNotNewer":
                raise

    def _deploy(self, name: str, *arguments: Any) -> Contract:
        """A contract under its name, or under its name behind a house's prefix."""
        self.contracts[name] = self._new(contract_of(name), *arguments)
        return self.contracts[name]

    def _new(self, name: str, *arguments: Any) -> Contract:
        return contract.deploy(
            self.backend, name, *arguments, sender=self.accounts["deployer"], libraries=self.libraries
        )

    def _send(self, target: Contract, function: str, *arguments: Any, sender: str | None = None) -> None:
        target.send(function, *arguments, sender=sender or self.accounts["deployer"])

    def _grant(self, target: Contract, role: str, holders: Iterable[str]) -> None:
        for holder in holders:
            self._send(target, "grantRole", keccak(text=role), holder)

    # What the engine says

    def _chain_id(self) -> int:
        return self.backend.chain_id if isinstance(self.backend, Evm) else int(self._ask("eth_chainId"), 16)

    def _block_number(self) -> int:
        return self.backend.block_number if isinstance(self.backend, Evm) else int(self._ask("eth_blockNumber"), 16)

    def _hashes(self, addresses: list[str]) -> dict[str, str]:
        """Hashes of the code at each address; none in the in-process EVM, where no file outlives the run."""
        if not isinstance(self.backend, RpcBackend):
            return {}
        codes = self.backend.rpc.batch([("eth_getCode", (address, "latest")) for address in addresses])
        return {address: hash_of_code(code) for address, code in zip(addresses, codes, strict=True)}

    def _ask(self, method: str) -> str:
        if not isinstance(self.backend, RpcBackend):
            raise InputError(f"cannot deploy on a {type(self.backend).__name__}: use the in-process EVM or a node")
        return str(self.backend.rpc.call(method))
