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
/// the constants below; anything outside it reverts. In it a price errs by at most 5e-17 (F + K) and 3 wei; the errors
/// of the Greeks are in docs/option-maths.md.
/// @dev One exponential serves everything, because F phi(d1) = K phi(d2): with E = D F phi(d1) and M the Mills ratio,
///
///     D F N(-|d1|) = E M(|d1|),   D K N(-|d2|) = E M(|d2|),   vega = E sqrt(T),   gamma = E / (F^2 s)
library BlackScholes {
    /// @param call Present value of the call.
    /// @param put Present value of the put; call + D K = put + D F holds to the last digit.
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
        _checkDomain(forward, strike, timeSeconds, vol, rate);
        unchecked {
            uint256 rootTime = _rootTime(timeSeconds);
            uint256 deviation = vol * rootTime / 1e18;
            int256 d1 = FixedPointMathLib.rawSDiv(Fixed64.lnRatio(forward, strike) << 32, int256(deviation))
                + int256(deviation >> 1);
            int256 d2 = d1 - int256(deviation);
            uint256 density = Gaussian.density(FixedPointMathLib.abs(d1));
            uint256 tail = (density * Gaussian.millsRatio(FixedPointMathLib.abs(d1))) >> 64;
            uint256 probability = _share(d1, Fixed64.ONE, tail);

            uint256 discount = _discount(timeSeconds, rate);
            uint256 forwardValue = (forward * discount) >> 64;
            uint256 strikeValue = (strike * discount) >> 64;
            uint256 shared = forwardValue * density; // E
            tail = (shared * Gaussian.millsRatio(FixedPointMathLib.abs(d2))) >> 128;
            uint256 call = FixedPointMathLib.zeroFloorSub(
                (forwardValue * probability) >> 64, _share(d2, strikeValue, tail)
            );
            call = FixedPointMathLib.max(call, FixedPointMathLib.zeroFloorSub(forwardValue, strikeValue));
            uint256 put = call + strikeValue - forwardValue;
            quote.call = call;
            quote.put = put;
            quote.callDelta = (discount * probability * 1e18) >> 128;
            quote.putDelta = int256(quote.callDelta) - int256((discount * 1e18) >> 64);
            uint256 curvature = FixedPointMathLib.rawDiv(discount * density, deviation) * 1e36;
            quote.gamma = FixedPointMathLib.rawDiv(curvature, forward) >> 64;
            quote.vega = (shared * rootTime) >> 128;
            int256 decay = int256(FixedPointMathLib.rawDiv(shared * vol, rootTime * 2e18));
            quote.callTheta = rate * int256(call) / 1e18 - decay;
            quote.putTheta = rate * int256(put) / 1e18 - decay;
        }
    }

    /// @notice Call and put alone, to the last digit those of `evaluate`.
    function price(uint256 forward, uint256 strike, uint256 timeSeconds, uint256 vol, int256 rate)
        internal
        pure
        returns (uint256 call, uint256 put)
    {
        _checkDomain(forward, strike, timeSeconds, vol, rate);
        uint256 discount = _discount(timeSeconds, rate);
        uint256 deviation = deviationOf(timeSeconds, vol);
        unchecked {
            uint256 forwardValue = (forward * discount) >> 64;
            uint256 strikeValue = (strike * discount) >> 64;
            call = callGiven(Fixed64.lnRatio(forward, strike), deviation, forwardValue, strikeValue);
            put = call + strikeValue - forwardValue;
        }
    }

    /// @notice vol sqrt(T) in 2^64 fixed point: what scenarios that differ in the forward alone have in common.
    function deviationOf(uint256 timeSeconds, uint256 vol) internal pure returns (uint256) {
        unchecked {
            return vol * _rootTime(timeSeconds) / 1e18;
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
        returns (uint256)
    {
        unchecked {
            int256 d1 = FixedPointMathLib.rawSDiv(logRatio << 32, int256(deviation)) + int256(deviation >> 1);
            int256 d2 = d1 - int256(deviation);
            uint256 density = Gaussian.density(FixedPointMathLib.abs(d1));
            uint256 tail = (density * Gaussian.millsRatio(FixedPointMathLib.abs(d1))) >> 64;
            uint256 probability = _share(d1, Fixed64.ONE, tail);
            tail = (forwardValue * density * Gaussian.millsRatio(FixedPointMathLib.abs(d2))) >> 128;
            uint256 call = FixedPointMathLib.zeroFloorSub(
                (forwardValue * probability) >> 64, _share(d2, strikeValue, tail)
            );
            return FixedPointMathLib.max(call, FixedPointMathLib.zeroFloorSub(forwardValue, strikeValue));
        }
    }

    /// @dev whole N(d), given the tail whole N(-|d|).
    function _share(int256 d, uint256 whole, uint256 tail) private pure returns (uint256) {
        unchecked {
            return FixedPointMathLib.ternary(d < 0, tail, whole - tail);
        }
    }

    /// @dev sqrt(T / YEAR) in 2^64 fixed point. With 4^h <= T < 4^(h + 1), the line (T + 2 4^h) / (3 2^h) is within 3% of
    /// sqrt(T); four Newton steps make that exact.
    function _rootTime(uint256 timeSeconds) private pure returns (uint256 root) {
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
    function _discount(uint256 timeSeconds, int256 rate) private pure returns (uint256) {
        unchecked {
            if (rate == 0) return Fixed64.ONE;
            int256 exponent = (rate * int256(timeSeconds) << 64) / int256(YEAR * 1e18);
            return Fixed64.expNegative(uint256(exponent + int256(Fixed64.LN2))) << 1;
        }
    }

    /// @dev Below `low`, the difference wraps to a huge number.
    function _checkDomain(uint256 forward, uint256 strike, uint256 timeSeconds, uint256 vol, int256 rate) private pure {
        unchecked {
            if (forward - MIN_FORWARD > MAX_FORWARD - MIN_FORWARD) revert PriceOutOfRange(forward, strike);
            if (strike > MAX_RATIO * forward) revert PriceOutOfRange(forward, strike);
            if (forward > MAX_RATIO * strike) revert PriceOutOfRange(forward, strike);
            if (timeSeconds - MIN_TIME > MAX_TIME - MIN_TIME) revert TimeOutOfRange(timeSeconds);
            if (vol - MIN_VOL > MAX_VOL - MIN_VOL) revert VolOutOfRange(vol);
            if (uint256(rate - MIN_RATE) > uint256(MAX_RATE - MIN_RATE)) revert RateOutOfRange(rate);
        }
    }
}
