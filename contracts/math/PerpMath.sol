// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {FixedPointMathLib} from "solady/utils/FixedPointMathLib.sol";

/// @title PerpMath
/// @notice The formulas of a perpetual priced by skew. Everything is wad (1e18). P index price, s market skew, d order
///         size, q position size, K skew scale; sizes are signed, longs positive.
///
///         One potential, U(s) = P s^2 / (2 K), gives every fill: an order costs U(s + d) - U(s), so splitting it
///         changes nothing and a round trip at one index price costs no impact.
/// @dev Every intermediate product is below 2^255 for sizes up to 1e12 coins and prices up to 1e12 USD.
library PerpMath {
    using FixedPointMathLib for uint256;
    using FixedPointMathLib for int256;

    int256 internal constant WAD = 1e18;
    int256 internal constant DAY = 86_400;

    /// @notice fill = P (1 + (s + d/2) / K), the mean of the marginal prices before and after the order.
    ///         Rounded up for a buy and down for a sell; never below zero.
    function fillPrice(int256 sizeDelta, int256 skew, uint256 skewScale, uint256 price) internal pure returns (uint256) {
        int256 doubled = 2 * (int256(skewScale) + skew) + sizeDelta;
        if (doubled <= 0) return 0;
        return sizeDelta > 0
            ? price.fullMulDivUp(uint256(doubled), 2 * skewScale)
            : price.fullMulDiv(uint256(doubled), 2 * skewScale);
    }

    /// @notice fee = (maker m + taker (|d| - m)) fill, where m is the part of the order that brings the skew towards
    ///         zero. From a flat market all of it is taker; an order that lands exactly flat is all maker. Rounded up.
    function orderFee(int256 sizeDelta, int256 skew, uint256 fill, uint256 makerFee, uint256 takerFee)
        internal
        pure
        returns (uint256)
    {
        uint256 size = sizeDelta.abs();
        bool reduces = (sizeDelta > 0 && skew < 0) || (sizeDelta < 0 && skew > 0);
        uint256 maker = reduces ? size.min(skew.abs()) : 0;
        return fill.fullMulDivUp(maker * makerFee + (size - maker) * takerFee, 1e36);
    }

    /// @notice velocity = clamp(s / K, -1, 1) vMax per day per day; zero while |s / K| is inside the dead band.
    ///         Rounded toward zero.
    function fundingVelocity(int256 skew, uint256 skewScale, uint256 maxVelocity, uint256 deadBand)
        internal
        pure
        returns (int256)
    {
        int256 proportion = (skew * WAD / int256(skewScale)).clamp(-WAD, WAD);
        if (proportion.abs() < deadBand) return 0;
        return proportion * int256(maxVelocity) / WAD;
    }

    /// @notice Rate after `elapsed` seconds, held at the cap, and its integral over that time in days x rate per day.
    ///
    ///         end = clamp(rate + velocity t, -cap, cap)
    ///         integral = (rate + rate + velocity t) t / 2 - overshoot^2 / (2 velocity)
    ///
    ///         where overshoot is what the cap cuts off; exact for a rate that stops at its cap on the way, so one long
    ///         step equals many short ones. Both rounded toward zero, which favours nobody in particular: what one side
    ///         pays the other receives. `rate` must lie within the cap.
    function accrueRate(int256 rate, int256 velocity, uint256 elapsed, uint256 rateCap)
        internal
        pure
        returns (int256 end, int256 integral)
    {
        int256 time = int256(elapsed);
        int256 free = rate + velocity * time / DAY;
        end = free.clamp(-int256(rateCap), int256(rateCap));
        integral = (rate + free) * time / (2 * DAY);
        if (free != end) {
            int256 overshoot = free - end;
            integral -= overshoot * overshoot / (2 * velocity);
        }
    }

    /// @notice F - integral P, quote per coin; longs pay while the rate is positive. Rounded toward minus infinity.
    function accrueFunding(int256 perCoin, int256 integral, uint256 price) internal pure returns (int256) {
        return perCoin - ceilDiv(integral * int256(price), WAD);
    }

    /// @notice q (to - from): profit and loss on a move in price, or in funding per coin. Rounded down, against the
    ///         holder.
    function profit(int256 size, int256 from, int256 to) internal pure returns (int256) {
        return -ceilDiv(size * (from - to), WAD);
    }

    /// @notice max(0, d (fill - P)): what an order pays above the index, rounded up; a favourable impact is not counted.
    function adverseImpact(int256 sizeDelta, uint256 fill, uint256 price) internal pure returns (uint256) {
        int256 impact = -profit(sizeDelta, int256(fill), int256(price));
        return impact > 0 ? uint256(impact) : 0;
    }

    /// @notice |q| P, rounded up.
    function notional(int256 size, uint256 price) internal pure returns (uint256) {
        return size.abs().mulWadUp(price);
    }

    /// @notice Initial margin ratio min(|q| / K scalar + minRatio, maxRatio), rounded up.
    function initialMarginRatio(int256 size, uint256 skewScale, uint256 scalar, uint256 minRatio, uint256 maxRatio)
        internal
        pure
        returns (uint256)
    {
        return (size.abs().fullMulDivUp(scalar, skewScale) + minRatio).min(maxRatio);
    }

    /// @notice USD paid back for `gasUnits` at `baseFee` wei per gas and index `price` (USD per ETH), rounded down.
    function gasReward(uint256 gasUnits, uint256 baseFee, uint256 price) internal pure returns (uint256) {
        return (gasUnits * baseFee).mulWad(price);
    }

    /// @notice Signed a / b toward plus infinity, for b > 0.
    function ceilDiv(int256 a, int256 b) internal pure returns (int256 quotient) {
        quotient = a / b;
        if (a > 0 && a % b != 0) quotient += 1;
    }
}
