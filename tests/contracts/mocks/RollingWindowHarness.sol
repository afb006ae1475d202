// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {RollingWindow} from "../../../contracts/liquidation/RollingWindow.sol";

/// @notice One window of a fixed length, callable from outside; `addUpTo` never lets the sum exceed its limit.
contract RollingWindowHarness {
    using RollingWindow for RollingWindow.Window;

    uint256 public immutable length;
    RollingWindow.Window private _window;

    constructor(uint256 length_) {
        length = length_;
    }

    function add(uint256 amount) external {
        _window.add(length, amount);
    }

    function addUpTo(uint256 amount, uint256 limit) external returns (uint256 added) {
        uint256 free = limit - _window.sum(length);
        added = amount < free ? amount : free;
        if (added > 0) _window.add(length, added);
    }

    function sum() external view returns (uint256) {
        return _window.sum(length);
    }

    function fallsTo(uint256 limit) external view returns (uint256) {
        return _window.fallsTo(length, limit);
    }
}
