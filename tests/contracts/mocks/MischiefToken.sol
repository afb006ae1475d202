// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {TestToken} from "../../../contracts/testing/TestToken.sol";

/// @notice A dollar that calls somebody back in the middle of a transfer, once for every time it is armed.
contract MischiefToken is TestToken {
    address private _target;
    bytes private _data;

    /// @notice Whether the last call back went through, and how many there were.
    bool public succeeded;
    uint256 public attempts;

    constructor() TestToken("USD Coin", "USDC", 6) {}

    function arm(address target, bytes calldata data) external {
        (_target, _data) = (target, data);
    }

    function _update(address from, address to, uint256 amount) internal override {
        super._update(from, to, amount);
        address target = _target;
        if (target == address(0) || from == address(0)) return;
        _target = address(0);
        ++attempts;
        (succeeded,) = target.call(_data);
    }
}
