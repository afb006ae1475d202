"""European options under Heston's stochastic volatility, by one Fourier integral.

    dS / S = (r - q) dt + sqrt(v) dW,   dv = kappa (theta - v) dt + xi sqrt(v) dZ,   d<W, Z> = rho dt.

With phi the characteristic function of ln(S_T / F), f = ln(F / K) and h = integral over u > 0 of
Re[e^(iuf) phi(u - i/2)] / (u^2 + 1/4), the undiscounted call is F - sqrt(F K) h / pi (Lewis 2001). The derivatives by
spot and by variance are integrals of the same kind and come along. phi is taken on the branch that never jumps
(Albrecher et al. 2007). Gauss-Legendre panels up to where phi is below 1e-16 keep the price within 1e-11 of spot.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from keeper.errors import InputError

Complex = NDArray[np.complex128]

PANELS: Final = 24
NODES, WEIGHTS = np.polynomial.legendre.leggauss(32)  # type: ignore[no-untyped-call]
NEGLIGIBLE: Final = 1e-16
_FURTHEST: Final = 2.0**20


@dataclass(frozen=True, slots=True)
class Heston:
    """The model: today's variance, its reversion a year, its long-run level, its vol, its correlation with spot."""

    variance: float
    reversion: float
    level: float
    vol_of_variance: float
    correlation: float

    def __post_init__(self) -> None:
        positive = min(self.reversion, self.level, self.vol_of_variance) > 0.0 and self.variance >= 0.0
        if not positive or not abs(self.correlation) < 1.0:
            raise InputError(f"Heston needs positive reversion, level and vol of variance, and |rho| < 1, got {self}")

    def exponents(self, z: Complex, time: float) -> tuple[Complex, Complex]:
        """C and D with phi(z) = exp(C + D v), for complex ``z``."""
        kappa, xi = self.reversion, self.vol_of_variance
        beta = kappa - 1j * self.correlation * xi * z
        root = np.sqrt(beta * beta + xi * xi * (z * z + 1j * z))
        ratio = (beta - root) / (beta + root)
        decay = np.exp(-root * time)
        rest = (1.0 - ratio * decay) / (1.0 - ratio)
        constant = kappa * self.level / xi**2 * ((beta - root) * time - 2.0 * np.log(rest))
        return constant, (beta - root) / xi**2 * (1.0 - decay) / (1.0 - ratio * decay)


@dataclass(frozen=True, slots=True)
class HestonQuote:
    """A price with its sensitivities: ``delta`` = dV/dS and ``variance_vega`` = dV/dv."""

    price: float
    delta: float
    variance_vega: float


def evaluate(
    spot: float,
    strike: float,
    time_to_expiry: float,
    model: Heston,
    rate: float,
    is_call: bool,
    carry_yield: float = 0.0,
) -> HestonQuote:
    """Present value of a European option and its first sensitivities, in the units of ``spot``.

    Time in years; ``rate`` and ``carry_yield`` annual, continuously compounded. Raises `InputError` on a spot, strike
    or time that is not positive.
    """
    if not min(spot, strike, time_to_expiry) > 0.0:
        raise InputError(f"spot {spot}, strike {strike} and time {time_to_expiry} must be positive")
    growth = math.exp((rate - carry_yield) * time_to_expiry)
    discount, forward = math.exp(-rate * time_to_expiry), spot * growth
    plain, tilted, by_variance = _integrals(math.log(forward / strike), time_to_expiry, model)
    scale = math.sqrt(forward * strike) / math.pi
    call = discount * (forward - scale * plain)
    delta = discount * growth * (1.0 - scale / forward * tilted)
    vega = -discount * scale * by_variance
    if is_call:
        return HestonQuote(call, delta, vega)
    return HestonQuote(call - discount * (forward - strike), delta - discount * growth, vega)


def minimum_variance_delta(quote: HestonQuote, spot: float, model: Heston) -> float:
    """The hedge ratio that leaves the least variance: V_S + rho xi V_v / S, as spot and variance move together."""
    return quote.delta + model.correlation * model.vol_of_variance * quote.variance_vega / spot


def residual_vol(quote: HestonQuote, hedge: float, spot: float, model: Heston) -> float:
    """Deviation per square root of a year of an option hedged with ``hedge`` coins, in the units of ``spot``."""
    root = math.sqrt(model.variance)
    by_spot = (quote.delta - hedge) * spot * root
    by_variance = quote.variance_vega * model.vol_of_variance * root
    return math.sqrt(by_spot**2 + by_variance**2 + 2.0 * model.correlation * by_spot * by_variance)


def _integrals(moneyness: float, time: float, model: Heston) -> tuple[float, float, float]:
    """The integrals of phi, of (1/2 + iu) phi, and of D phi, each against e^(iuf) / (u^2 + 1/4)."""
    edges = np.linspace(0.0, 1.0, PANELS + 1) ** 2 * _reach(time, model)  # fine near zero, where phi bends most
    half = 0.5 * np.diff(edges)
    u = (edges[:-1, None] + half[:, None] * (NODES + 1.0)).reshape(-1)
    weight = (half[:, None] * WEIGHTS).reshape(-1) / (u * u + 0.25)
    constant, slope = model.exponents(u - 0.5j, time)
    wave = np.exp(constant + slope * model.variance + 1j * u * moneyness)
    tilted = wave * (0.5 + 1j * u)
    return tuple(float(np.sum(weight * part.real)) for part in (wave, tilted, wave * slope))  # type: ignore[return-value]


def _reach(time: float, model: Heston) -> float:
    """Where phi has become negligible: the first power of two beyond it."""
    reach = 16.0
    while reach < _FURTHEST:
        constant, slope = model.exponents(np.array([reach - 0.5j]), time)
        if math.exp(float((constant + slope * model.variance).real[0])) < NEGLIGIBLE:
            break
        reach *= 2.0
    return reach
