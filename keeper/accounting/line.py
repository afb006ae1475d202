"""What an option gains along a straight line in (spot, time, vol), split by Greek.

The line is walked in equal steps (dS, dt, dv). With the Greeks at its start a step gains

    delta dS + gamma dS^2 / 2 + theta dt + vega dv + vanna dS dv + volga dv^2 / 2

By then delta and vega are no longer those of the line's start, and what has changed them owns the difference: delta
has drifted by gamma dS + vanna dv + charm dt, vega by vanna dS + volga dv + veta dt (each integrated by the trapezoid
rule). So a move of S earns delta_0 S + gamma S^2 / 2 however many steps it is cut into; drifts that time caused belong
to theta. With one step this is the textbook expansion.
"""

from __future__ import annotations

from keeper.compiled import kernel
from keeper.pricing.black76 import spot_greeks

SUBSTEPS = 4


@kernel
def line_terms(
    spot: float,
    strike: float,
    time_to_expiry: float,
    vol: float,
    is_call: bool,
    end_spot: float,
    end_time_to_expiry: float,
    end_vol: float,
    substeps: int,
) -> tuple[float, float, float, float, float, float, float]:
    """Value change of one option from (spot, time, vol) to the end point, and its six Greek terms, at rate 0.

    Times to expiry in years, vols annual. Returns (change, delta, gamma, theta, vega, vanna, volga) in USD per unit;
    the terms sum to the change but for effects of third order, which shrink with the square of the number of steps.
    """
    ds = (end_spot - spot) / substeps
    dt = (time_to_expiry - end_time_to_expiry) / substeps
    dv = (end_vol - vol) / substeps
    start_value, start_delta, start_vega = 0.0, 0.0, 0.0
    delta_by_spot, delta_by_vol, delta_by_time = 0.0, 0.0, 0.0
    vega_by_spot, vega_by_vol, vega_by_time = 0.0, 0.0, 0.0
    last_gamma, last_vanna, last_volga, last_charm, last_veta = 0.0, 0.0, 0.0, 0.0, 0.0
    gamma_term, theta_term, vanna_term, volga_term = 0.0, 0.0, 0.0, 0.0
    for i in range(substeps):
        time, step_vol = time_to_expiry - i * dt, vol + i * dv
        value, delta, gamma, vega, theta, vanna, volga, charm = spot_greeks(
            spot + i * ds, strike, time, step_vol, 0.0, is_call
        )
        veta = -0.5 * (vega + step_vol * volga) / time if time > 0.0 else 0.0
        if i == 0:
            start_value, start_delta, start_vega = value, delta, vega
        else:
            delta_by_spot += 0.5 * (last_gamma + gamma) * ds
            delta_by_vol += 0.5 * (last_vanna + vanna) * dv
            delta_by_time += 0.5 * (last_charm + charm) * dt
            vega_by_spot += 0.5 * (last_vanna + vanna) * ds
            vega_by_vol += 0.5 * (last_volga + volga) * dv
            vega_by_time += 0.5 * (last_veta + veta) * dt
        gamma_term += (delta_by_spot + 0.5 * gamma * ds) * ds
        volga_term += (vega_by_vol + 0.5 * volga * dv) * dv
        vanna_term += delta_by_vol * ds + vega_by_spot * dv + vanna * ds * dv
        theta_term += theta * dt + delta_by_time * ds + vega_by_time * dv
        last_gamma, last_vanna, last_volga, last_charm, last_veta = gamma, vanna, volga, charm, veta
    end_value = spot_greeks(end_spot, strike, end_time_to_expiry, end_vol, 0.0, is_call)[0]
    return (
        end_value - start_value,
        start_delta * (end_spot - spot),
        gamma_term,
        theta_term,
        start_vega * (end_vol - vol),
        vanna_term,
        volga_term,
    )
