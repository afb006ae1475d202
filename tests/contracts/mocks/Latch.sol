// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IClearinghouse, IProduct} from "../../../contracts/interfaces/IClearinghouse.sol";

/// @title Latch
/// @notice A product without positions that takes the clearinghouse's lock and keeps it: a transaction frozen half-way.
contract Latch is IProduct {
    IClearinghouse private immutable _clearinghouse;

    constructor(IClearinghouse clearinghouse) {
        _clearinghouse = clearinghouse;
    }

    function hold() external {
        _clearinghouse.lock();
    }

    function assess(address, uint256) external pure returns (int256, uint256, uint256) {
        return (0, 0, 0);
    }
}
