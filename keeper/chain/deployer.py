"""The one deployer: the whole protocol onto any engine, wired, with its roles granted and its accounts funded.

The same steps run in the in-process EVM, on a private Anvil, and on a chain whose keys are ours. Whatever is random or
timed elsewhere is not here: the same configuration gives the same contracts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass, field
from typing import Any, Final

from eth_utils.crypto import keccak

from keeper.chain import artifacts, contract
from keeper.chain.abi import Revert
from keeper.chain.contract import Backend, Contract
from keeper.chain.deployment import VAULT_CONTRACTS, Deployment, VaultEntry, hash_of_code
from keeper.chain.dev_accounts import REPORTERS, dev_addresses
from keeper.chain.evm import Evm
from keeper.chain.rpc import RpcBackend
from keeper.errors import InputError
from keeper.state.snapshot import MandateLimits, VenueParameters
from keeper.telemetry import step
from keeper.units import to_usdc, to_wad

NO_ADDRESS: Final = "0x" + "0" * 40
_CONTRACTS: Final = (
    "TestToken", "PriceFeed", "VolatilityFeed", "Clearinghouse", "PerpMarket", "LiquidityPool", "InsuranceFund",
    "IsolatedMargin", "FullLiquidation", "OptionMarket", "UnderwriterVault", "ScalperVault", "HedgeMandate",
    "VaultLens",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Quoting:
    """How an underwriter quotes: half-spread in vol points, skew in vol per USD of vega sold, and its limits.

    ``max_vega`` USD per 1.00 vol, ``max_short`` options; ``min_spread`` is a fraction of the index per unit of |delta|,
    at least the move that the price feed waits for; ``margin_buffer`` is the equity over initial margin that no
    trade may take it below.
    """

    half_spread: float = 0.02
    vega_skew: float = 1e-8
    max_vega: float = 10_000_000.0
    max_short: float = 100_000.0
    min_spread: float = 0.001
    margin_buffer: float = 1.5


DEFAULT_LIMITS: Final = MandateLimits(
    delta_tolerance=1.0,
    max_order_size=10_000.0,
    min_order_size=0.1,
    max_slippage=0.05,
    margin_buffer=1.05,
    budget_per_day=250_000.0,
    cooldown=0,
    budget_left=0.0,
)
"""What a hedger may do unless a vault says otherwise; ``budget_left`` is the chain's to say."""


@dataclass(frozen=True, slots=True)
class VaultConfig:
    """One vault. ``deposit`` USD; ``quoting`` for an underwriter.

    For a scalper, ``maker`` is the name of the underwriter that it buys from, ``budget`` the share of NAV that
    rolls may cost in ``budget_period`` seconds, ``max_edge`` the share of mid that it may overpay.
    """

    name: str
    kind: str
    deposit: float
    limits: MandateLimits = DEFAULT_LIMITS
    quoting: Quoting | None = None
    maker: str | None = None
    budget: float = 0.05
    budget_period: int = 86_400
    max_edge: float = 0.10


DEFAULT_VENUE: Final = VenueParameters(
    skew_scale=350_000.0,
    maker_fee=0.0002,
    taker_fee=0.0005,
    max_funding_velocity=9.0,
    funding_rate_cap=0.096,
    funding_dead_band=1e-5,
    initial_margin_scalar=1.0,
    min_initial_margin_ratio=0.04,
    max_initial_margin_ratio=0.9,
    maintenance_scalar=0.5,
    min_margin=200.0,
    liquidation_fee=0.0003,
    insurance_share=0.2,
    max_open_interest=20_000.0,
    max_order_size=10_000.0,
    settlement_delay=2,
    settlement_window=60,
    settlement_gas=350_000,
    liquidation_gas=500_000,
    max_base_fee=50e9,
)
"""A deep ETH perpetual."""


@dataclass(frozen=True, slots=True)
class DeployConfig:
    """Everything that a deployment may differ in. Amounts in USD, times in seconds.

    ``token`` and ``aggregator`` are addresses on a forked chain; None deploys a test dollar and a feed of our own,
    which starts at ``initial_price``. ``max_move`` bounds one step of our own feed (a fraction, 0 for no bound).
    """

    vaults: tuple[VaultConfig, ...]
    initial_price: float = 2_000.0
    venue: VenueParameters = DEFAULT_VENUE
    price_heartbeat: int = 300
    max_move: float = 0.0
    vol_heartbeat: int = 3_600
    quorum: int = 3
    closing_spread: float = 0.02
    pool_deposit: float = 50_000_000.0
    locked_ratio: float = 0.2
    insurance_deposit: float = 1_000_000.0
    insurance_per_event: float = 1_000_000.0
    token: str | None = None
    aggregator: str | None = None


def default_config() -> DeployConfig:
    """A scalper vault that buys from an underwriter vault."""
    return DeployConfig(
        vaults=(
            VaultConfig("underwriter", "underwriter", 5_000_000.0, quoting=Quoting()),
            VaultConfig("scalper", "scalper", 1_000_000.0, maker="underwriter"),
        )
    )


def deploy(backend: Backend, config: DeployConfig, accounts: Mapping[str, str] | None = None) -> Deployment:
    """Deploy, wire, grant, fund. ``accounts`` says who holds which role (default: the development accounts).

    Raises `InputError` for a configuration that cannot be deployed, before anything is sent.
    """
    check(config)
    artifacts.load_all(_CONTRACTS)
    with step("deploying the protocol"):
        return _Deployer(backend, config, accounts or dev_addresses()).run()


def check(config: DeployConfig) -> None:
    """Raise `InputError` unless every vault can be built from the configuration alone."""
    names = [vault.name for vault in config.vaults]
    if len(set(names)) != len(names):
        raise InputError(f"two vaults have the same name: {', '.join(names)}")
    makers = {vault.name for vault in config.vaults if vault.kind == "underwriter"}
    for vault in config.vaults:
        if vault.kind not in VAULT_CONTRACTS:
            raise InputError(f"vault {vault.name} is a '{vault.kind}': choose {' or '.join(VAULT_CONTRACTS)}")
        if vault.kind == "scalper" and vault.maker not in makers:
            raise InputError(f"vault {vault.name} buys from {vault.maker}, which is no underwriter of this deployment")
    if not 1 <= config.quorum <= len(REPORTERS):
        raise InputError(f"the quorum is {config.quorum}: there are {len(REPORTERS)} reporters")


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
        with step("deploying the markets"):
            self._venue()
        with step("deploying the clearing"):
            self._clearing()
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
        source = config.aggregator or NO_ADDRESS
        feed = self._deploy("PriceFeed", admin, source, config.price_heartbeat, to_wad(config.max_move))
        surface = self._deploy("VolatilityFeed", admin, config.vol_heartbeat, config.quorum)
        self._grant(feed, "REPORTER", [self.accounts["reporter-1"]])
        self._grant(surface, "REPORTER", [self.accounts[role] for role in REPORTERS])
        self._refresh_price()

    def _venue(self) -> None:
        admin = self.accounts["deployer"]
        house = self._deploy("Clearinghouse", self.contracts["Token"], self.contracts["PriceFeed"], admin)
        self._deploy("PerpMarket", house, admin, venue_tuple(self.config.venue))
        surface, spread = self.contracts["VolatilityFeed"], to_wad(self.config.closing_spread)
        options = self._deploy("OptionMarket", house, surface, spread, admin)
        self._grant(options, "LISTER", [self.accounts["roller"]])

    def _clearing(self) -> None:
        house, perp = self.contracts["Clearinghouse"], self.contracts["PerpMarket"]
        pool = self._deploy("LiquidityPool", house, [perp.address], to_wad(self.config.locked_ratio))
        fund = self._deploy("InsuranceFund", house, to_wad(self.config.insurance_per_event))
        model = self._deploy("IsolatedMargin", house)
        engine = self._deploy("FullLiquidation", house, [perp.address], self.contracts["OptionMarket"])
        self._deploy("VaultLens")
        products = [perp.address, self.contracts["OptionMarket"].address]
        self._send(house, "setUp", model, engine, pool, fund, products)

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
        """Money for the pool, the fund and the vaults, from the accounts that own it."""
        self._refresh_price()
        house, pool = self.contracts["Clearinghouse"], self.contracts["LiquidityPool"]
        provider, depositor = self.accounts["liquidity-provider"], self.accounts["depositor"]
        if self.config.pool_deposit > 0.0:
            self._supply(provider, pool, self.config.pool_deposit)
            self._send(pool, "deposit", to_usdc(self.config.pool_deposit), provider, sender=provider)
        if self.config.insurance_deposit > 0.0:
            self._supply(provider, house, self.config.insurance_deposit)
            fund = self.contracts["InsuranceFund"].address
            self._send(house, "deposit", fund, to_usdc(self.config.insurance_deposit), sender=provider)
        for vault in self.config.vaults:
            if vault.deposit > 0.0:
                deployed = self.vaults[vault.name]
                self._supply(depositor, deployed, vault.deposit)
                self._send(deployed, "deposit", to_usdc(vault.deposit), depositor, sender=depositor)

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
        self.contracts[name] = self._new(name, *arguments)
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


def venue_tuple(venue: VenueParameters) -> tuple[int, ...]:
    """`IPerpMarket.Parameters`, in its order: seconds, gas and wei as they are, the rest wad."""
    plain = {"settlement_delay", "settlement_window", "settlement_gas", "liquidation_gas", "max_base_fee"}
    values = []
    for name in VenueParameters.__slots__:
        value = getattr(venue, name)
        values.append(int(value) if name in plain else to_wad(value))
    return tuple(values)


def limits_tuple(limits: MandateLimits) -> tuple[int, ...]:
    """`IHedgeMandate.Limits`, in its order."""
    wads = (
        limits.delta_tolerance, limits.max_order_size, limits.min_order_size, limits.max_slippage, limits.margin_buffer,
        limits.budget_per_day,
    )  # fmt: skip
    return (*(to_wad(value) for value in wads), limits.cooldown)
