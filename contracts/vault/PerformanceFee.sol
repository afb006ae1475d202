// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {FixedPointMathLib} from "solady/utils/FixedPointMathLib.sol";

/// @title Performance fee over a high-water mark
/// @notice With g the share price before the fee, H the highest share price after a fee so far, and p the fee's share of
///         what lies above it,
///
///     n = g - p (g - H),   new shares = supply * (g - n) / n,   H becomes n
///
///         so that the fee is paid in new shares and everyone else's share is worth n. Nothing is due up to H: a loss that
///         is made good is not charged again.
library PerformanceFee {
    using FixedPointMathLib for uint256;

    /// @param gross share price before the fee, wad
    /// @param mark high-water mark, wad
    /// @param rate share of the gain, wad
    /// @param supply shares that the price was computed with, the virtual ones included
    /// @return shares to mint, rounded down
    /// @return net share price afterwards, wad
    function due(uint256 gross, uint256 mark, uint256 rate, uint256 supply)
        internal
        pure
        returns (uint256 shares, uint256 net)
    {
        if (gross <= mark) return (0, gross);
        net = gross - (gross - mark).mulWad(rate);
        shares = supply.fullMulDiv(gross - net, net);
    }
}
