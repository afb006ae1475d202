// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {FixedPointMathLib} from "solady/utils/FixedPointMathLib.sol";

import {IBackstop} from "../interfaces/IBackstop.sol";
import {IClearinghouse} from "../interfaces/IClearinghouse.sol";
import {IInsuranceFund} from "../interfaces/IInsuranceFund.sol";

/// @title InsuranceFund
/// @notice First to pay for bad debt, up to a cap per event. Holds one clearinghouse account, fed by its share of fees and
///         by whoever deposits for it; nothing leaves it but to make good what somebody could not pay.
contract InsuranceFund is IBackstop, IInsuranceFund {
    IClearinghouse public immutable clearinghouse;

    /// @inheritdoc IInsuranceFund
    uint256 public immutable maxPerEvent;

    constructor(address clearinghouse_, uint256 maxPerEvent_) {
        clearinghouse = IClearinghouse(clearinghouse_);
        maxPerEvent = maxPerEvent_;
    }

    /// @inheritdoc IBackstop
    function cover(uint256 amount, uint256) external returns (uint256 covered) {
        if (msg.sender != clearinghouse.waterfall()) revert NotWaterfall(msg.sender);
        return clearinghouse.coverBadDebt(address(this), FixedPointMathLib.min(amount, maxPerEvent));
    }
}
