// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IProduct} from "../../../contracts/interfaces/IClearinghouse.sol";

/// @notice A product, or any other part, that does whatever a test tells it to: the clearinghouse takes it for a module.
contract ModuleMock is IProduct {
    struct Holding {
        int256 value;
        uint256 initial;
        uint256 maintenance;
        bool isHeld;
    }

    bool public isAuctioned;
    uint256 public insolventAccounts;
    mapping(address account => bool) public isDecided;
    mapping(address account => Holding) private _holdings;

    function setAuctioned(bool isAuctioned_) external {
        isAuctioned = isAuctioned_;
    }

    function decide(address account, bool isDecided_) external {
        isDecided[account] = isDecided_;
    }

    /// @notice Gives an account something here, worth and asking for what the test says.
    function hold(address account, int256 value, uint256 initial, uint256 maintenance) external {
        _holdings[account] = Holding(value, initial, maintenance, true);
    }

    function assess(address account, uint256) external view returns (int256, uint256, uint256) {
        Holding memory held = _holdings[account];
        return (held.value, held.initial, held.maintenance);
    }

    function isFlat(address account) external view returns (bool) {
        return !_holdings[account].isHeld;
    }

    function run(address target, bytes calldata data) external {
        (bool done, bytes memory reason) = target.call(data);
        if (!done) {
            assembly ("memory-safe") {
                revert(add(reason, 32), mload(reason))
            }
        }
    }
}
