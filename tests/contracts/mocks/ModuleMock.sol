// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IProduct} from "../../../contracts/interfaces/IClearinghouse.sol";

/// @notice A product without positions that does whatever a test tells it to: the clearinghouse takes it for a module.
contract ModuleMock is IProduct {
    function assess(address, uint256) external pure returns (int256, uint256, uint256) {
        return (0, 0, 0);
    }

    function isFlat(address) external pure returns (bool) {
        return true;
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
