// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IClearinghouse, IMarginModel, IProduct} from "../interfaces/IClearinghouse.sol";
import {IPerpMarket} from "../interfaces/IPerpMarket.sol";

/// @title IsolatedMargin
/// @notice Rule-based margin: every product is charged alone and the requirements add up, so a hedge earns no relief
///         against the option that it hedges. Equity is cash plus what the products say they are worth.
contract IsolatedMargin is IMarginModel {
    IClearinghouse public immutable clearinghouse;

    constructor(address clearinghouse_) {
        clearinghouse = IClearinghouse(clearinghouse_);
    }

    /// @inheritdoc IMarginModel
    function margin(address account, uint256 price)
        external
        view
        returns (int256 equity, uint256 initial, uint256 maintenance)
    {
        equity = clearinghouse.cash(account);
        IProduct[] memory products = clearinghouse.products();
        for (uint256 i = 0; i < products.length; ++i) {
            (int256 value, uint256 productInitial, uint256 productMaintenance) = products[i].assess(account, price);
            equity += value;
            initial += productInitial;
            maintenance += productMaintenance;
        }
    }

    /// @inheritdoc IMarginModel
    function marginIfFilled(address account, address market, int256 sizeDelta, uint256 price)
        external
        view
        returns (int256 equity, uint256 maintenance)
    {
        equity = clearinghouse.cash(account);
        IProduct[] memory products = clearinghouse.products();
        for (uint256 i = 0; i < products.length; ++i) {
            (int256 value, uint256 required) = address(products[i]) == market
                ? _filled(IPerpMarket(market), account, sizeDelta, price)
                : _held(products[i], account, price);
            equity += value;
            maintenance += required;
        }
    }

    function _filled(IPerpMarket market, address account, int256 sizeDelta, uint256 price)
        private
        view
        returns (int256 value, uint256 maintenance)
    {
        (int256 pnl, int256 fundingPnl) = market.accrued(account, price);
        (, maintenance) = market.requirements(market.netSize(account) + sizeDelta, price);
        value = pnl + fundingPnl;
    }

    function _held(IProduct product, address account, uint256 price)
        private
        view
        returns (int256 value, uint256 maintenance)
    {
        (value,, maintenance) = product.assess(account, price);
    }
}
