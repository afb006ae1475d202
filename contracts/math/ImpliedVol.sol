// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {FixedPointMathLib} from "solady/utils/FixedPointMathLib.sol";
import {BlackScholes} from "./BlackScholes.sol";
import {Fixed64} from "./Fixed64.sol";
import {Gaussian} from "./Gaussian.sol";

/// @title The vol at which Black-76 gives a price
/// @notice Domain: that of `BlackScholes`, with a time value of at least D F / 2e9 and a vol from 1% to 500%. Inside it the
/// search always ends: Halley's steps stay inside a bracket, and after eight of them it halves the bracket instead.
/// @dev An option and its twin at the same strike have the same time value, so the one that is out of the money is solved:
/// with lo and hi the smaller and the larger of F and K, x = ln(lo / hi) and s = vol sqrt(T),
///
///     v(s) = N(x / s + s / 2) - (hi / lo) N(x / s - s / 2) = time value / (D lo)
///
/// Steps are on ln v, with v' = phi(d1) and v'' = v' d1 d2 / s. v is in 2^96 fixed point, s and d in 2^64 and 2^60.
library ImpliedVol {
    error BelowIntrinsic(uint256 price, uint256 intrinsic);
    error AboveMaximum(uint256 price, uint256 maximum);
    error TimeValueTooSmall(uint256 timeValue);

    /// @dev sqrt(2 pi) in 2^64 fixed point.
    uint256 private constant ROOT_TWO_PI = 46239130270042206923;
    /// @dev How far rounding of the price may carry a vol beyond the range, and still count as its end.
    uint256 private constant EDGE = 1e9;
    uint256 private constant FREE_STEPS = 8;
    uint256 private constant MAX_STEPS = 64;

    /// @param ratio hi / lo in 2^96 fixed point.
    /// @param logRatio x in 2^96 fixed point.
    /// @param target v to be reached.
    struct Problem {
        uint256 ratio;
        int256 logRatio;
        uint256 target;
    }

    /// @notice The annual vol that `price`, of a call or a put, implies; 1e18 fixed point.
    function solve(uint256 price, uint256 forward, uint256 strike, uint256 timeSeconds, int256 rate, bool isCall)
        internal
        pure
        returns (uint256 vol)
    {
        BlackScholes.checkDomain(forward, strike, timeSeconds, BlackScholes.MIN_VOL, rate);
        unchecked {
            Problem memory problem = _normalise(price, forward, strike, BlackScholes.discountOf(timeSeconds, rate), isCall);
            uint256 root = BlackScholes.rootTime(timeSeconds);
            vol = FixedPointMathLib.rawDiv(_search(problem, root / 101, root * 5 + root / 20) * 1e18, root);
            if (vol + EDGE < BlackScholes.MIN_VOL || vol > BlackScholes.MAX_VOL + EDGE) {
                revert BlackScholes.VolOutOfRange(vol);
            }
            vol = FixedPointMathLib.clamp(vol, BlackScholes.MIN_VOL, BlackScholes.MAX_VOL);
        }
    }

    function _normalise(uint256 price, uint256 forward, uint256 strike, uint256 discount, bool isCall)
        private
        pure
        returns (Problem memory problem)
    {
        unchecked {
            (uint256 low, uint256 high) = forward < strike ? (forward, strike) : (strike, forward);
            uint256 intrinsic = (forward > strike) == isCall ? ((high - low) * discount) >> 64 : 0;
            if (price < intrinsic) revert BelowIntrinsic(price, intrinsic);
            uint256 timeValue = price - intrinsic;
            if (timeValue >= (low * discount) >> 64) revert AboveMaximum(price, intrinsic + ((low * discount) >> 64));
            if (timeValue < (forward * discount) / (2e9 << 64)) revert TimeValueTooSmall(timeValue);
            problem.target = (timeValue << 144) / ((low * discount) >> 16);
            problem.ratio = (high << 96) / low;
            problem.logRatio = Fixed64.lnRatio(low, high);
        }
    }

    /// @dev s between two ends of which it is sure to lie.
    function _search(Problem memory problem, uint256 low, uint256 high) private pure returns (uint256 s) {
        unchecked {
            s = FixedPointMathLib.clamp(_guess(problem), low, high);
            for (uint256 i; i < MAX_STEPS; ++i) {
                int256 d1 = FixedPointMathLib.rawSDiv(problem.logRatio << 28, int256(s)) + int256(s >> 5);
                int256 d2 = d1 - int256(s >> 4);
                uint256 slope = Gaussian.densityTimes(1 << 96, d1);
                uint256 value = BlackScholes.leg(d1, 1 << 96, slope) - BlackScholes.leg(d2, problem.ratio, slope);
                uint256 next = int256(value) > 0 ? _next(problem.target, s, problem.logRatio, d1 * d2, slope, value) : 0;
                if (FixedPointMathLib.dist(next, s) <= s >> 12) return next;
                if (int256(value) < int256(problem.target)) low = s;
                else high = s;
                s = next > low && next < high && i < FREE_STEPS ? next : (low + high) >> 1;
            }
        }
    }

    /// @dev Householder's step of third order on f = ln v - ln target, whose error is of fourth order. With p = v' / v,
    /// c = v'' / v' = d1 d2 / s = (x / s)^2 / s - s / 4 and the Newton step n = -f / p,
    ///
    ///     h = f'' / f' = c - p,   j = f''' / f' = c^2 + c' - 3 p c + 2 p^2,   step = n (1 + n h / 2) / (1 + n (h + n j / 6))
    ///
    /// Far from the solution Newton's step does. n p, h / p and j / p^2 are what is worked with: they stay small.
    function _next(uint256 target, uint256 s, int256 x, int256 product, uint256 slope, uint256 value)
        private
        pure
        returns (uint256)
    {
        unchecked {
            int256 l = _logarithm(int256(target), int256(value)); // n p
            int256 g = int256(FixedPointMathLib.rawDiv(value << 60, slope)); // 1 / p
            int256 c = FixedPointMathLib.rawSDiv(g * (product >> 56), int256(s)); // c / p
            int256 ratio = FixedPointMathLib.rawSDiv(x << 28, int256(s)); // x / s
            int256 step = FixedPointMathLib.rawSDiv(g << 64, int256(s)); // 1 / (p s)
            int256 j = ((3 * ratio * ratio) >> 60) + int256((s * s) >> 70);
            j = ((c * (c - (3 << 60))) >> 60) + (2 << 60) - ((((step * step) >> 60) * j) >> 60);
            int256 h = c - (1 << 60);
            int256 above = (1 << 60) + ((l * h) >> 61);
            int256 below = (1 << 60) + ((l * (h + ((l * j) >> 60) / 6)) >> 60);
            if (above < 1 << 58 || below < 1 << 58) (above, below) = (1, 1);
            int256 next = int256(s) + FixedPointMathLib.rawSDiv(((l * g) >> 56) * above, below);
            return next > 0 ? uint256(next) : 0;
        }
    }

    /// @dev ln(a / b) in 2^60 fixed point; near 1 three terms of the series in (a - b) / (a + b), right to 1e-6 of it.
    function _logarithm(int256 a, int256 b) private pure returns (int256) {
        unchecked {
            int256 q = FixedPointMathLib.rawSDiv((a - b) << 60, a + b);
            int256 t = (q * q) >> 60;
            if (t > 1 << 54) return Fixed64.lnRatio(uint256(a), uint256(b)) >> 36;
            return 2 * q + ((q * (t / 3 + ((t * t) >> 60) / 5)) >> 59);
        }
    }

    /// @dev With k = hi / lo - 1 and a = v + k / 2, s is about sqrt(2 pi) (a + sqrt(a^2 - k^2 / pi)) / (hi / lo + 1): exact at
    /// the money for small s, and good to a few percent where options have value. Source: Corrado and Miller (1996).
    function _guess(Problem memory problem) private pure returns (uint256) {
        unchecked {
            uint256 excess = problem.ratio - (1 << 96);
            uint256 middle = problem.target + (excess >> 1);
            uint256 radicand = FixedPointMathLib.zeroFloorSub(middle * middle, excess * excess * 113 / 355);
            uint256 root = middle;
            root = (root + FixedPointMathLib.rawDiv(radicand, root)) >> 1;
            root = (root + FixedPointMathLib.rawDiv(radicand, root)) >> 1;
            root = (root + FixedPointMathLib.rawDiv(radicand, root)) >> 1;
            root = (root + FixedPointMathLib.rawDiv(radicand, root)) >> 1;
            uint256 sum = (middle + root) * ROOT_TWO_PI;
            return FixedPointMathLib.rawDiv(sum, problem.ratio + (1 << 96));
        }
    }
}
