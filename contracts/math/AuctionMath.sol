// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {FixedPointMathLib} from "solady/utils/FixedPointMathLib.sol";
import {SafeCastLib} from "solady/utils/SafeCastLib.sol";

/// @title AuctionMath
/// @notice What a whole account costs in a Dutch auction, and how much of it must go. Times in seconds, the rest wad.
///         Everything rounds against the bidder, but for `maxFraction`, which must suffice.
library AuctionMath {
    using FixedPointMathLib for int256;
    using FixedPointMathLib for uint256;
    using SafeCastLib for int256;
    using SafeCastLib for uint256;

    /// @notice Part of its equity that a solvent account costs: from `start` down to `fastEnd` in `fastTime`, then down to
    ///         nothing in `slowTime`, both linearly. Rounded up.
    function discount(uint256 elapsed, uint256 fastTime, uint256 slowTime, uint256 start, uint256 fastEnd)
        internal
        pure
        returns (uint256)
    {
        if (elapsed < fastTime) return start - (start - fastEnd).mulDiv(elapsed, fastTime);
        return fastEnd.mulDivUp((fastTime + slowTime).zeroFloorSub(elapsed), slowTime);
    }

    /// @notice What an insolvent account costs: its equity, not positive, and up to `maintenance` less the longer nobody
    ///         bids. Rounded up.
    function insolventPrice(int256 equity, uint256 maintenance, uint256 elapsed, uint256 time)
        internal
        pure
        returns (int256)
    {
        return equity - maintenance.mulDiv(elapsed.min(time), time).toInt256();
    }

    /// @notice Fraction f of an account that must go for the rest to meet its target. With margin equity m, p what the
    ///         account would have once all were sold (the price, and cash that is not for sale), and F the part of the target
    ///         that does not shrink with the positions,
    ///
    ///             m + f (p - m) = target - f (target - F)    =>    f = (target - m) / (target - m + p - F)
    ///
    ///         Rounded up; 0 when m is enough, all of it when `gained` = p - F is not positive.
    function maxFraction(uint256 target, int256 margin, int256 gained) internal pure returns (uint256) {
        int256 missing = target.toInt256() - margin;
        if (missing <= 0) return 0;
        if (gained <= 0) return 1e18;
        return uint256(missing).fullMulDivUp(1e18, uint256(missing + gained));
    }

    /// @notice fraction * amount, rounded down, a debt therefore up.
    function part(int256 amount, uint256 fraction) internal pure returns (int256) {
        return amount >= 0
            ? uint256(amount).mulWad(fraction).toInt256()
            : -amount.abs().mulWadUp(fraction).toInt256();
    }
}
