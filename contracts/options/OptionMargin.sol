// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {FixedPointMathLib} from "solady/utils/FixedPointMathLib.sol";

/// @title Margin of one short option
/// @notice On top of its liability at mid a short reserves, per unit, all wad:
///
///     initial     = max(15% P - out-of-the-money amount, 10% P) + vega * spread
///     maintenance = 9% P
///
/// P is the index price, the out-of-the-money amount is K - P for a call and P - K for a put where positive, and the
/// last term is what the maker's spread costs when the short is bought back. Longs need no margin.
library OptionMargin {
    using FixedPointMathLib for uint256;

    uint256 internal constant INITIAL = 0.15e18;
    uint256 internal constant MIN_INITIAL = 0.1e18;
    uint256 internal constant MAINTENANCE = 0.09e18;

    /// @notice Requirements of one unit short, rounded up.
    function ofShort(uint256 price, uint256 strike, bool isCall, uint256 vega, uint256 spread)
        internal
        pure
        returns (uint256 initial, uint256 maintenance)
    {
        uint256 outOfTheMoney = isCall ? strike.zeroFloorSub(price) : price.zeroFloorSub(strike);
        uint256 notional = price.mulWadUp(INITIAL).zeroFloorSub(outOfTheMoney).max(price.mulWadUp(MIN_INITIAL));
        initial = notional + vega.mulWadUp(spread);
        maintenance = price.mulWadUp(MAINTENANCE);
    }
}
