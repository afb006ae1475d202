// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {SafeCastLib} from "solady/utils/SafeCastLib.sol";

import {LiquidationEngine} from "./LiquidationEngine.sol";

/// @title FullLiquidation
/// @notice The simplest engine: closes every perpetual position of an account at once, at the skew fill, whatever that
///         does to the price. What the account cannot pay goes to the waterfall.
contract FullLiquidation is LiquidationEngine {
    using SafeCastLib for uint256;

    constructor(address clearinghouse_, address[] memory markets_) LiquidationEngine(clearinghouse_, markets_) {}

    /// @inheritdoc LiquidationEngine
    function _liquidate(address account, uint256 price, int256 equity, uint256 maintenance)
        internal
        override
        returns (uint256 reward, uint256 nextAt)
    {
        if (equity >= maintenance.toInt256()) return (0, 0);
        _dropOrders(account);
        Closing memory closing;
        _closeAll(closing, account, price);
        _finish(closing, account, price);
        return (closing.reward, 0);
    }
}
