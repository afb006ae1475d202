// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {PerpMath} from "../../../contracts/math/PerpMath.sol";

/// @notice The library's internal functions, callable from outside.
contract PerpMathHarness {
    function fillPrice(int256 sizeDelta, int256 skew, uint256 skewScale, uint256 price) external pure returns (uint256) {
        return PerpMath.fillPrice(sizeDelta, skew, skewScale, price);
    }

    function orderFee(int256 sizeDelta, int256 skew, uint256 fill, uint256 makerFee, uint256 takerFee)
        external
        pure
        returns (uint256)
    {
        return PerpMath.orderFee(sizeDelta, skew, fill, makerFee, takerFee);
    }

    function fundingVelocity(int256 skew, uint256 skewScale, uint256 maxVelocity, uint256 deadBand)
        external
        pure
        returns (int256)
    {
        return PerpMath.fundingVelocity(skew, skewScale, maxVelocity, deadBand);
    }

    function accrueRate(int256 rate, int256 velocity, uint256 elapsed, uint256 rateCap)
        external
        pure
        returns (int256 end, int256 integral)
    {
        return PerpMath.accrueRate(rate, velocity, elapsed, rateCap);
    }

    function accrueFunding(int256 perCoin, int256 integral, uint256 price) external pure returns (int256) {
        return PerpMath.accrueFunding(perCoin, integral, price);
    }

    function profit(int256 size, int256 from, int256 to) external pure returns (int256) {
        return PerpMath.profit(size, from, to);
    }

    function notional(int256 size, uint256 price) external pure returns (uint256) {
        return PerpMath.notional(size, price);
    }

    function initialMarginRatio(int256 size, uint256 skewScale, uint256 scalar, uint256 minRatio, uint256 maxRatio)
        external
        pure
        returns (uint256)
    {
        return PerpMath.initialMarginRatio(size, skewScale, scalar, minRatio, maxRatio);
    }

    function gasReward(uint256 gasUnits, uint256 baseFee, uint256 price) external pure returns (uint256) {
        return PerpMath.gasReward(gasUnits, baseFee, price);
    }
}
