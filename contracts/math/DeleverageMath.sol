// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {FixedPointMathLib} from "solady/utils/FixedPointMathLib.sol";

/// @title DeleverageMath
/// @notice How much of whose position is closed to pay for somebody else's loss. Everything is wad (1e18); sizes here are
///         absolute, profit is price profit and funding of the whole position at index.
library DeleverageMath {
    using FixedPointMathLib for uint256;

    uint256 private constant WAD = 1e18;

    /// @notice (profit / entry notional) x (notional / equity) = profit x price / (entry price x equity), rounded down:
    ///         who won most, with the most leverage, goes first. 0 without profit or without equity.
    function score(uint256 profit, uint256 price, uint256 entryPrice, uint256 equity) internal pure returns (uint256) {
        if (profit == 0 || equity == 0) return 0;
        return profit.fullMulDiv(WAD, equity).fullMulDiv(price, entryPrice.max(1));
    }

    /// @notice x = min(size, ceil(size left / profit)): the fewest coins whose profit covers `left`, or all of them.
    function coins(uint256 left, uint256 size, uint256 profit) internal pure returns (uint256) {
        return left >= profit ? size : left.fullMulDivUp(size, profit);
    }

    /// @notice min(left, profit x / size), rounded down: what `closed` coins bring towards `left`. Where `coins` did not
    ///         take the whole position this is `left` to the wei.
    function share(uint256 left, uint256 closed, uint256 size, uint256 profit) internal pure returns (uint256) {
        return left.min(profit.fullMulDiv(closed, size));
    }

    /// @notice Coins that leave an account with its maintenance margin when closing `wanted` would leave it `short` of it
    ///         and closing none leaves it `spare` more: wanted x spare / (spare + short), rounded down. What is spare is
    ///         concave in the coins closed (maintenance is convex, profit is linear), so the line between the two ends
    ///         never promises too much.
    function safeCoins(uint256 wanted, uint256 spare, uint256 short) internal pure returns (uint256) {
        return wanted.fullMulDiv(spare, spare + short);
    }

    /// @notice y = (debt - target cash) / (1 - target): profit to be paid out before (debt - y) / (cash - y) = target,
    ///         rounded up; 0 where it is there already.
    function profitAbove(uint256 debt, int256 cash, uint256 target) internal pure returns (uint256) {
        uint256 part = target.mulWad(FixedPointMathLib.abs(cash));
        uint256 above = cash > 0 ? debt.zeroFloorSub(part) : debt + part;
        return above.divWadUp(WAD - target);
    }
}
