// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IClearinghouse, IMarginModel, IProduct} from "../interfaces/IClearinghouse.sol";

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
}
