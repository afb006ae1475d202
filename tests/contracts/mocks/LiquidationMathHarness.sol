// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {AuctionMath} from "../../../contracts/math/AuctionMath.sol";
import {DeleverageMath} from "../../../contracts/math/DeleverageMath.sol";

/// @notice What an auction and deleveraging reckon, callable from outside.
contract LiquidationMathHarness {
    function discount(uint256 elapsed, uint256 fastTime, uint256 slowTime, uint256 start, uint256 fastEnd)
        external
        pure
        returns (uint256)
    {
        return AuctionMath.discount(elapsed, fastTime, slowTime, start, fastEnd);
    }

    function insolventPrice(int256 equity, uint256 maintenance, uint256 elapsed, uint256 time)
        external
        pure
        returns (int256)
    {
        return AuctionMath.insolventPrice(equity, maintenance, elapsed, time);
    }

    function maxFraction(uint256 target, int256 margin, int256 gained) external pure returns (uint256) {
        return AuctionMath.maxFraction(target, margin, gained);
    }

    function score(uint256 profit, uint256 price, uint256 entryPrice, uint256 equity) external pure returns (uint256) {
        return DeleverageMath.score(profit, price, entryPrice, equity);
    }

    function coins(uint256 left, uint256 size, uint256 profit) external pure returns (uint256) {
        return DeleverageMath.coins(left, size, profit);
    }

    function share(uint256 left, uint256 closed, uint256 size, uint256 profit) external pure returns (uint256) {
        return DeleverageMath.share(left, closed, size, profit);
    }

    function safeCoins(uint256 wanted, uint256 spare, uint256 short) external pure returns (uint256) {
        return DeleverageMath.safeCoins(wanted, spare, short);
    }

    function profitAbove(uint256 debt, int256 cash, uint256 target) external pure returns (uint256) {
        return DeleverageMath.profitAbove(debt, cash, target);
    }
}
