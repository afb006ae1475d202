// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IWaterfall} from "../interfaces/IWaterfall.sol";

/// @title InsolvencyWatch
/// @notice Accounts known to owe more than they have while they are still worked off: their debt is coming, and nobody is to
///         leave before it is on record. Each holds withdrawals back for a day at most, so that one that nobody can close
///         locks nobody out; from then on it counts again only after it has been solvent.
abstract contract InsolvencyWatch is IWaterfall {
    /// @notice Seconds for which one account holds withdrawals back at most.
    uint256 public constant LONGEST_HOLD = 1 days;

    /// @dev `since` is 0 for an account that is not known to be insolvent.
    struct Watched {
        uint40 since;
        bool holds;
    }

    /// @inheritdoc IWaterfall
    uint256 public insolventAccounts;

    mapping(address account => Watched) private _watched;

    /// @inheritdoc IWaterfall
    function holdsWithdrawals(address account) external view returns (bool) {
        return _watched[account].holds;
    }

    /// @dev Notes what is known of the account now.
    function _watch(address account, bool insolvent) internal {
        Watched storage watched = _watched[account];
        uint256 since = watched.since;
        if (insolvent && since == 0) {
            (watched.since, watched.holds) = (uint40(block.timestamp), true);
            emit InsolvencySeen(account, ++insolventAccounts);
        } else if (since != 0 && (!insolvent || block.timestamp >= since + LONGEST_HOLD)) {
            if (watched.holds) emit InsolvencyReleased(account, --insolventAccounts);
            watched.holds = false;
            if (!insolvent) watched.since = 0;
        }
    }
}
