// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IVolatilityFeed} from "../interfaces/IVolatilityFeed.sol";

/// @title What each state of the volatility surface allows
/// @notice One row an action, one column a state; a 1 allows. The ways out are open in every state.
library ActionTable {
    enum Action {
        QUOTE, // show a price to trade at
        OPEN, // trade against a maker at the surface's vol, spread doubled where DEGRADED
        CLOSE, // the same, to reduce a position: at a stale vol it would be a gift from the maker
        DEPOSIT, // shares for cash at NAV
        HEDGE, // any hedge that the mandate allows
        HEDGE_STRESSED, // a hedge that helps at both ends of the doubt about vol
        REDEEM, // shares for cash at the low NAV less the doubt, pro rata of what is free
        DELEVERAGE, // shrink a hedge
        LIQUIDATE,
        SETTLE, // an expired series
        WITHDRAW // free cash that margin does not need
    }

    /// @dev Four bits a row, FRESH in the lowest:  FROZEN STALE DEGRADED FRESH.
    uint256 private constant ROWS = 0x0 //
        | (0x3 << 0) // QUOTE           0 0 1 1
        | (0x3 << 4) // OPEN            0 0 1 1
        | (0x3 << 8) // CLOSE           0 0 1 1
        | (0x3 << 12) // DEPOSIT         0 0 1 1
        | (0x1 << 16) // HEDGE           0 0 0 1
        | (0x7 << 20) // HEDGE_STRESSED  0 1 1 1
        | (0xf << 24) // REDEEM          1 1 1 1
        | (0xf << 28) // DELEVERAGE      1 1 1 1
        | (0xf << 32) // LIQUIDATE       1 1 1 1
        | (0xf << 36) // SETTLE          1 1 1 1
        | (0xf << 40); // WITHDRAW       1 1 1 1

    /// @notice Whether a state of the surface allows an action.
    function allows(Action action, IVolatilityFeed.State state) internal pure returns (bool) {
        return (ROWS >> (4 * uint256(action) + uint256(state))) & 1 == 1;
    }
}
