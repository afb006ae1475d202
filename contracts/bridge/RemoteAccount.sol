// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IClearinghouse} from "../interfaces/IClearinghouse.sol";
import {IDelayedBridge} from "../interfaces/IDelayedBridge.sol";
import {IHedgeVenue} from "../interfaces/IPerpMarket.sol";

/// @title RemoteAccount
/// @notice The hand of one home account on the other chain: it owns the margin account there, and can do no more with it
///         than order and send money to the bridge, both only when the bridge says so.
/// @dev Every account's hand is a minimal clone of one of these; what they share is immutable and lives in its code.
contract RemoteAccount {
    address public immutable bridge;
    IClearinghouse public immutable clearinghouse;
    IHedgeVenue public immutable market;

    modifier onlyBridge() {
        if (msg.sender != bridge) revert IDelayedBridge.NotBridge(msg.sender);
        _;
    }

    constructor(IClearinghouse clearinghouse_, IHedgeVenue market_) {
        bridge = msg.sender;
        clearinghouse = clearinghouse_;
        market = market_;
    }

    /// @notice Commits an order, coins and price in wad. Bridge only.
    function commit(int256 sizeDelta, uint256 acceptablePrice) external onlyBridge {
        market.commit(sizeDelta, acceptablePrice);
    }

    /// @notice Withdraws USDC (6 decimals) to the bridge. Bridge only.
    function withdraw(uint256 amount) external onlyBridge {
        clearinghouse.withdraw(amount, bridge);
    }
}
