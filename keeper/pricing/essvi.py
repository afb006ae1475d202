"""The eSSVI implied-volatility surface, one slice (theta, rho psi, psi) per expiry.

With k = ln(K / F), theta the at-the-money total variance, psi = theta phi and the correlation rho,

    w(k) = theta / 2 (1 + rho phi k + sqrt((phi k + rho)^2 + 1 - rho^2))
         = (theta + (rho psi) k + sqrt((psi k)^2 + 2 theta (rho psi) k + theta^2)) / 2,

so in these three variables a slice needs no division, scales linearly as it ages, and interpolates linearly in time.
Sources: Hendriks and Martini (2019), Gatheral and Jacquier (2014).
"""

from __future__ import annotations

import math

from keeper.compiled import kernel


@kernel
def total_variance(log_moneyness: float, theta: float, rho_psi: float, psi: float) -> float:
    """Total implied variance w(k) = vol^2 T at ``log_moneyness`` k = ln(K / F)."""
    wing = psi * log_moneyness
    tilt = rho_psi * log_moneyness
    return 0.5 * (theta + tilt + math.sqrt(max(wing * wing + theta * (2.0 * tilt + theta), 0.0)))


@kernel
def implied_vol(
    forward: float, strike: float, time_to_expiry: float, theta: float, rho_psi: float, psi: float
) -> float:
    """Annual vol of the slice at a strike, sqrt(w / T); zero once no time is left."""
    if time_to_expiry <= 0.0:
        return 0.0
    return math.sqrt(max(total_variance(math.log(strike / forward), theta, rho_psi, psi), 0.0) / time_to_expiry)


@kernel
def butterfly_margin(theta: float, rho_psi: float, psi: float) -> float:
    """Distance of a slice from the nearest butterfly condition; negative where one is broken.

    The conditions (sufficient): psi + |rho psi| < 4, (psi + |rho psi| / 2)^2 <= 4 theta, and |rho psi| <= psi.
    """
    tilt = abs(rho_psi)
    crossing = psi + 0.5 * tilt
    return min(4.0 - psi - tilt, 4.0 * theta - crossing * crossing, psi - tilt)


@kernel
def butterfly_ok(theta: float, rho_psi: float, psi: float) -> bool:
    """Whether a slice is sure to imply a density that is nowhere negative."""
    return theta > 0.0 and psi + abs(rho_psi) < 4.0 and butterfly_margin(theta, rho_psi, psi) >= 0.0


@kernel
def calendar_ok(
    theta_earlier: float,
    rho_psi_earlier: float,
    psi_earlier: float,
    theta_later: float,
    rho_psi_later: float,
    psi_later: float,
) -> bool:
    """Whether total variance is sure not to fall, at any strike, from the earlier slice to the later.

    The conditions (sufficient): theta does not fall, |change of rho psi| <= change of psi, psi / theta does not rise.
    """
    return (
        theta_later >= theta_earlier
        and abs(rho_psi_later - rho_psi_earlier) <= psi_later - psi_earlier
        and psi_later * theta_earlier <= psi_earlier * theta_later
    )


@kernel
def age(
    theta: float, rho_psi: float, psi: float, time_to_expiry: float, time_to_expiry_at_report: float
) -> tuple[float, float, float]:
    """Slice as it stands now: all three variables shrink with the time left, so that vol stays where it was."""
    scale = max(time_to_expiry, 0.0) / time_to_expiry_at_report
    return theta * scale, rho_psi * scale, psi * scale


@kernel
def interpolate(
    time_to_expiry: float,
    time_earlier: float,
    theta_earlier: float,
    rho_psi_earlier: float,
    psi_earlier: float,
    time_later: float,
    theta_later: float,
    rho_psi_later: float,
    psi_later: float,
) -> tuple[float, float, float]:
    """Slice between two expiries, each variable linear in time to expiry."""
    weight = (time_to_expiry - time_earlier) / (time_later - time_earlier)
    return (
        theta_earlier + weight * (theta_later - theta_earlier),
        rho_psi_earlier + weight * (rho_psi_later - rho_psi_earlier),
        psi_earlier + weight * (psi_later - psi_earlier),
    )
