// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {FixedPointMathLib} from "solady/utils/FixedPointMathLib.sol";
import {SafeCastLib} from "solady/utils/SafeCastLib.sol";
import {IOptionMarket} from "../interfaces/IOptionMarket.sol";
import {OptionBook} from "./OptionBook.sol";

/// @title What an account owes the insurance fund
/// @notice The fund pays for a short whose holder cannot, and is repaid from whatever that account's options bring later:
///         claims, premiums, and cash that its margin does not need. Until then the debt is asked for as initial margin, so
///         that nothing of as much can be withdrawn or spent.
abstract contract InsuranceDebt is OptionBook {
    using FixedPointMathLib for uint256;
    using FixedPointMathLib for int256;
    using SafeCastLib for uint256;

    /// @inheritdoc IOptionMarket
    mapping(address account => uint256) public debtOf;

    /// @inheritdoc IOptionMarket
    /// @dev Initial margin counts the debt, so what exceeds the rest of it is free to repay with.
    function repay(address account) external locking returns (uint256 repaid) {
        uint256 debt = debtOf[account];
        (uint256 price,) = priceFeed.price();
        (int256 equity, uint256 initial,) = clearinghouse.margin(account, price);
        int256 free = equity - initial.toInt256() + debt.toInt256();
        return _repay(account, account, _positive(free.min(clearinghouse.cash(account))));
    }

    /// @dev What the fund paid for an account.
    function _owe(address account, uint256 amount) internal {
        if (amount == 0) return;
        debtOf[account] += amount;
        emit DebtRecorded(account, amount);
    }

    /// @dev Repays from `payer` as much of the account's debt as `amount` covers.
    function _repay(address account, address payer, uint256 amount) internal returns (uint256 repaid) {
        uint256 debt = debtOf[account];
        repaid = amount.min(debt);
        if (repaid == 0) return 0;
        debtOf[account] = debt - repaid;
        _move(payer, clearinghouse.insuranceFund(), repaid, "settlement debt");
        emit DebtRepaid(account, repaid);
    }
}
