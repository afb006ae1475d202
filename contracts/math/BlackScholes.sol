// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {FixedPointMathLib} from "solady/utils/FixedPointMathLib.sol";
import {Fixed64} from "./Fixed64.sol";
import {Gaussian} from "./Gaussian.sol";

/// @title European options on a forward: prices and Greeks in one pass
/// @notice Black-76 with D = exp(-rate T), s = vol sqrt(T), d1 = ln(F / K) / s + s / 2, d2 = d1 - s:
///
///     call = D (F N(d1) - K N(d2)),   put = call - D (F - K)
///
/// Prices, vol, rate and Greeks are in 1e18 fixed point, time in seconds, years have 365 days. The domain is stated by
/// the constants below; anything outside it reverts. In it a price errs by at most 4.6e-16 (F + K) and 4 wei, `errorBound`; the
/// bounds of the Greeks are in docs/option-maths.md.
/// @dev One exponential serves everything, because F phi(d1) = K phi(d2): with E = D F phi(d1) and M the Mills ratio,
///
///     D F N(-|d1|) = E M(|d1|),   D K N(-|d2|) = E M(|d2|),   vega = E sqrt(T),   gamma = E / (F^2 s)
library BlackScholes {
    /// @param call Present value of the call.
    /// @param put Present value of the put; call + D K = put + D F holds before both lose the bits beyond the wei.
    /// @param callDelta d call / d forward, from 0 to D.
    /// @param putDelta d put / d forward, callDelta - D.
    /// @param gamma Second derivative of either price in the forward.
    /// @param vega Derivative of either price in vol, per 1.00 of vol.
    /// @param callTheta d call / d calendar time, per year, the forward held fixed.
    /// @param putTheta The same of the put.
    struct Quote {
        uint256 call;
        uint256 put;
        uint256 callDelta;
        int256 putDelta;
        uint256 gamma;
        uint256 vega;
        int256 callTheta;
        int256 putTheta;
    }

    error PriceOutOfRange(uint256 forward, uint256 strike);
    error TimeOutOfRange(uint256 timeSeconds);
    error VolOutOfRange(uint256 vol);
    error RateOutOfRange(int256 rate);

    uint256 internal constant YEAR = 365 days;
    uint256 internal constant MIN_FORWARD = 1e12;
    uint256 internal constant MAX_FORWARD = 1e30;
    /// @dev Forward and strike are at most this factor apart.
    uint256 internal constant MAX_RATIO = 20;
    uint256 internal constant MIN_TIME = 1 minutes;
    uint256 internal constant MAX_TIME = 4 * YEAR;
    uint256 internal constant MIN_VOL = 0.01e18;
    uint256 internal constant MAX_VOL = 5e18;
    int256 internal constant MIN_RATE = -0.1e18;
    int256 internal constant MAX_RATE = 0.5e18;

    /// @dev 2^56 / (3 sqrt(YEAR)), raised by 2.9% to halve the line's largest error.
    uint256 private constant ROOT_SEED = 4403000000000;

    /// @notice Call and put with all their Greeks.
    /// @dev The steps of `greeksGiven`, written into memory as they come: filling the struct from its eight values on the
    /// stack costs 330 gas more.
    /// @param forward Forward price of the underlying at expiry.
    /// @param strike Strike price.
    /// @param timeSeconds Time to expiry in seconds.
    /// @param vol Annual vol.
    /// @param rate Annual rate, continuously compounded, for discounting.
    function evaluate(uint256 forward, uint256 strike, uint256 timeSeconds, uint256 vol, int256 rate)
        internal
        pure
        returns (Quote memory quote)
    {
        checkDomain(forward, strike, timeSeconds, vol, rate);
        unchecked {
            uint256 root = rootTime(timeSeconds);
            uint256 deviation = vol * root / 1e18;
            uint256 discount = discountOf(timeSeconds, rate);
            (uint256 call, uint256 put, uint256 forwardLeg, uint256 shared) =
                _legs(Fixed64.lnRatio(forward, strike), deviation, forward * discount, strike * discount);
            (quote.call, quote.put) = (call, put);
            quote.callDelta = _delta(forwardLeg, forward);
            quote.putDelta = int256(quote.callDelta) - int256((discount * 1e18) >> 64);
            quote.gamma = _gamma(shared, forward, deviation);
            quote.vega = (shared * root) >> 128;
            int256 decay = _decay(shared, vol, root);
            (quote.callTheta, quote.putTheta) = (decay, decay);
            if (rate != 0) {
                quote.callTheta += rate * int256(call) / 1e18;
                quote.putTheta += rate * int256(put) / 1e18;
            }
        }
    }

    /// @notice What `evaluate` gives, in the order of `Quote`, without the memory.
    function greeks(uint256 forward, uint256 strike, uint256 timeSeconds, uint256 vol, int256 rate)
        internal
        pure
        returns (
            uint256 call,
            uint256 put,
            uint256 callDelta,
            int256 putDelta,
            uint256 gamma,
            uint256 vega,
            int256 callTheta,
            int256 putTheta
        )
    {
        checkDomain(forward, strike, timeSeconds, vol, rate);
        return greeksGiven(forward, strike, timeSeconds, vol, rate, Fixed64.lnRatio(forward, strike));
    }

    /// @notice `greeks` given ln(F / K) in 2^96 fixed point; the caller answers for the domain.
    function greeksGiven(
        uint256 forward,
        uint256 strike,
        uint256 timeSeconds,
        uint256 vol,
        int256 rate,
        int256 logRatio
    )
        internal
        pure
        returns (
            uint256 call,
            uint256 put,
            uint256 callDelta,
            int256 putDelta,
            uint256 gamma,
            uint256 vega,
            int256 callTheta,
            int256 putTheta
        )
    {
        unchecked {
            uint256 root = rootTime(timeSeconds);
            uint256 deviation = vol * root / 1e18;
            uint256 discount = discountOf(timeSeconds, rate);
            (call, put, callDelta, gamma) = _legs(logRatio, deviation, forward * discount, strike * discount);
            callDelta = _delta(callDelta, forward);
            putDelta = int256(callDelta) - int256((discount * 1e18) >> 64);
            vega = (gamma * root) >> 128;
            callTheta = _decay(gamma, vol, root);
            gamma = _gamma(gamma, forward, deviation);
            putTheta = callTheta;
            if (rate != 0) {
                callTheta += rate * int256(call) / 1e18;
                putTheta += rate * int256(put) / 1e18;
            }
        }
    }

    /// @notice Call and put alone, to the last digit those of `evaluate`.
    function price(uint256 forward, uint256 strike, uint256 timeSeconds, uint256 vol, int256 rate)
        internal
        pure
        returns (uint256 call, uint256 put)
    {
        checkDomain(forward, strike, timeSeconds, vol, rate);
        unchecked {
            uint256 discount = discountOf(timeSeconds, rate);
            (call, put,,) = _legs(
                Fixed64.lnRatio(forward, strike), deviationOf(timeSeconds, vol), forward * discount, strike * discount
            );
        }
    }

    /// @notice Call and put, each sure to be at least its exact value: `price` and its error bound.
    function priceUp(uint256 forward, uint256 strike, uint256 timeSeconds, uint256 vol, int256 rate)
        internal
        pure
        returns (uint256 call, uint256 put)
    {
        (call, put) = price(forward, strike, timeSeconds, vol, rate);
        unchecked {
            uint256 slack = errorBound(forward, strike);
            (call, put) = (call + slack, put + slack);
        }
    }

    /// @notice Call and put, each sure to be at most its exact value: `price` less its error bound, or zero.
    function priceDown(uint256 forward, uint256 strike, uint256 timeSeconds, uint256 vol, int256 rate)
        internal
        pure
        returns (uint256 call, uint256 put)
    {
        (call, put) = price(forward, strike, timeSeconds, vol, rate);
        uint256 slack = errorBound(forward, strike);
        call = FixedPointMathLib.zeroFloorSub(call, slack);
        put = FixedPointMathLib.zeroFloorSub(put, slack);
    }

    /// @notice How far `price` and the prices of `evaluate` are from the exact ones at most, 4.6e-16 (F + K)
    /// and 4 wei: within the domain less than 1e-14 of F.
    function errorBound(uint256 forward, uint256 strike) internal pure returns (uint256) {
        unchecked {
            return (forward + strike) / 2.2e15 + 4;
        }
    }

    /// @notice vol sqrt(T) in 2^64 fixed point: what scenarios that differ in the forward alone have in common.
    function deviationOf(uint256 timeSeconds, uint256 vol) internal pure returns (uint256) {
        unchecked {
            return vol * rootTime(timeSeconds) / 1e18;
        }
    }

    /// @notice The call from what `price` works out first; the caller answers for the domain.
    /// @param logRatio ln(F / K) in 2^96 fixed point.
    /// @param deviation vol sqrt(T) in 2^64 fixed point.
    /// @param forwardValue D F.
    /// @param strikeValue D K.
    function callGiven(int256 logRatio, uint256 deviation, uint256 forwardValue, uint256 strikeValue)
        internal
        pure
        returns (uint256 call)
    {
        (call,,,) = _legs(logRatio, deviation, forwardValue << 64, strikeValue << 64);
    }

    /// @dev Call and put from D F and D K in 2^64 wei; D F N(d1) and E, these two in 2^64 wei as well. d is in 2^60 fixed
    /// point. Before both prices lose their last 64 bits parity is exact; where rounding has put one of them below zero
    /// it becomes zero, and the other the difference.
    function _legs(int256 logRatio, uint256 deviation, uint256 forwardValue, uint256 strikeValue)
        private
        pure
        returns (uint256 call, uint256 put, uint256 forwardLeg, uint256 shared)
    {
        unchecked {
            int256 d = FixedPointMathLib.rawSDiv(logRatio << 28, int256(deviation)) + int256(deviation >> 5);
            shared = Gaussian.densityTimes(forwardValue, d);
            forwardLeg = leg(d, forwardValue, shared);
            call = forwardLeg - leg(d - int256(deviation >> 4), strikeValue, shared);
            put = call + strikeValue - forwardValue;
            if (int256(call | put) < 0) {
                call = FixedPointMathLib.zeroFloorSub(forwardValue, strikeValue);
                put = FixedPointMathLib.zeroFloorSub(strikeValue, forwardValue);
            }
            call >>= 64;
            put >>= 64;
        }
    }

    /// @dev whole N(d): the tail E M(|d|) for d < 0, whole less the tail otherwise, chosen by a mask. Beyond |d| = 16, where
    /// M has no meaning, E is zero.
    function leg(int256 d, uint256 whole, uint256 shared) internal pure returns (uint256) {
        unchecked {
            int256 sign = d >> 255;
            uint256 tail = (shared * Gaussian.millsRatio(uint256((d ^ sign) - sign))) >> 64;
            uint256 up = uint256(~sign);
            return (whole & up) + (tail ^ up) - up;
        }
    }

    function _delta(uint256 forwardLeg, uint256 forward) private pure returns (uint256) {
        unchecked {
            return FixedPointMathLib.rawDiv(forwardLeg * 1e18, forward) >> 64;
        }
    }

    /// @dev E / (F^2 s).
    function _gamma(uint256 shared, uint256 forward, uint256 deviation) private pure returns (uint256) {
        unchecked {
            return FixedPointMathLib.rawDiv(
                FixedPointMathLib.rawDiv(shared * 1e18, forward) * 1e18, forward * deviation
            );
        }
    }

    /// @dev -E vol / (2 sqrt(T)).
    function _decay(uint256 shared, uint256 vol, uint256 root) private pure returns (int256) {
        unchecked {
            return -int256(FixedPointMathLib.rawDiv(shared * vol, root * 2e18));
        }
    }

    /// @dev sqrt(T / YEAR) in 2^64 fixed point. With 4^h <= T < 4^(h + 1), the line
    /// (T + 2 4^h) / (3 2^h) is within 3% of sqrt(T); four Newton steps make that exact.
    function rootTime(uint256 timeSeconds) internal pure returns (uint256 root) {
        unchecked {
            uint256 h;
            assembly ("memory-safe") {
                h := shl(3, gt(timeSeconds, 0xffff))
                h := or(h, shl(2, gt(shr(shl(1, h), timeSeconds), 0xff)))
                h := or(h, shl(1, gt(shr(shl(1, h), timeSeconds), 0xf)))
                h := or(h, gt(shr(shl(1, h), timeSeconds), 3))
            }
            root = (((timeSeconds << 8) >> h) + (512 << h)) * ROOT_SEED;
            uint256 square = (timeSeconds << 128) / YEAR;
            root = (root + FixedPointMathLib.rawDiv(square, root)) >> 1;
            root = (root + FixedPointMathLib.rawDiv(square, root)) >> 1;
            root = (root + FixedPointMathLib.rawDiv(square, root)) >> 1;
            root = (root + FixedPointMathLib.rawDiv(square, root)) >> 1;
        }
    }

    /// @dev exp(-rate T) in 2^64 fixed point; the shift by ln 2 keeps the exponent positive for negative rates.
    function discountOf(uint256 timeSeconds, int256 rate) internal pure returns (uint256 discount) {
        unchecked {
            discount = Fixed64.ONE;
            if (rate != 0) {
                int256 exponent = (rate * int256(timeSeconds) << 64) / int256(YEAR * 1e18);
                discount = Fixed64.discounted(2 * Fixed64.ONE, uint256(exponent + int256(Fixed64.LN2)));
            }
        }
    }

    /// @dev x lies in [low, high] if neither x - low nor high - x is negative; one look at the sign bit serves them all.
    function checkDomain(uint256 forward, uint256 strike, uint256 timeSeconds, uint256 vol, int256 rate) internal pure {
        unchecked {
            uint256 signs = (forward - MIN_FORWARD) | (MAX_FORWARD - forward);
            signs |= (MAX_RATIO * forward - strike) | (MAX_RATIO * strike - forward) | strike;
            signs |= (timeSeconds - MIN_TIME) | (MAX_TIME - timeSeconds) | (vol - MIN_VOL) | (MAX_VOL - vol);
            signs |= uint256((rate - MIN_RATE) | (MAX_RATE - rate));
            if (int256(signs) < 0) _refuse(forward, strike, timeSeconds, vol, rate);
        }
    }

    function _refuse(uint256 forward, uint256 strike, uint256 timeSeconds, uint256 vol, int256 rate) private pure {
        if (timeSeconds < MIN_TIME || timeSeconds > MAX_TIME) revert TimeOutOfRange(timeSeconds);
        if (vol < MIN_VOL || vol > MAX_VOL) revert VolOutOfRange(vol);
        if (rate < MIN_RATE || rate > MAX_RATE) revert RateOutOfRange(rate);
        revert PriceOutOfRange(forward, strike);
    }
}
