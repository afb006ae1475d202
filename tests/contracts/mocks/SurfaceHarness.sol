// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IVolatilityFeed} from "../../../contracts/interfaces/IVolatilityFeed.sol";
import {ActionTable} from "../../../contracts/oracle/ActionTable.sol";
import {SurfaceStore} from "../../../contracts/oracle/SurfaceStore.sol";
import {ExpiryList} from "../../../contracts/oracle/ExpiryList.sol";

/// @notice The surface's libraries behind external functions, and what a warm read costs.
contract SurfaceHarness {
    using ExpiryList for ExpiryList.List;

    ExpiryList.List private _list;

    constructor() {
        _list.clear();
    }

    function allows(ActionTable.Action action, IVolatilityFeed.State state) external pure returns (bool) {
        return ActionTable.allows(action, state);
    }

    function insert(uint64 expiry, uint256 now_) external {
        _list.insert(expiry, now_);
    }

    function place(uint256 time) external view returns (uint256 below, uint64[] memory all) {
        (uint256 first, uint256 second) = _list.load();
        return (ExpiryList.below(first, second, time), ExpiryList.from(first, second, 0));
    }

    /// @notice A whole surface as it is stored, and the states of its slices.
    function look(SurfaceStore feed)
        external
        view
        returns (uint64[] memory expiries, SurfaceStore.Stored[] memory slices, IVolatilityFeed.State[] memory states)
    {
        expiries = feed.expiries();
        slices = new SurfaceStore.Stored[](expiries.length);
        states = new IVolatilityFeed.State[](expiries.length);
        for (uint256 i = 0; i < expiries.length; i++) {
            (slices[i], states[i]) = (feed.stored(expiries[i]), feed.state(expiries[i]));
        }
    }

    /// @notice Gas of a read whose slots were read before in the same transaction, the call itself included.
    function warmRead(IVolatilityFeed feed, uint64 expiry, uint256 strike, uint256 forward)
        external
        view
        returns (uint256 used)
    {
        feed.volatility(expiry, strike, forward);
        uint256 before = gasleft();
        feed.volatility(expiry, strike, forward);
        return before - gasleft();
    }
}

/// @notice A realised volatility that says what it is told, or nothing.
contract RealizedMock {
    uint256 private _vol;
    uint256 private _updatedAt;
    bool private _isBroken;

    function set(uint256 vol, uint256 updatedAt, bool isBroken) external {
        (_vol, _updatedAt, _isBroken) = (vol, updatedAt, isBroken);
    }

    function volatility() external view returns (uint256, uint256) {
        require(!_isBroken, "broken");
        return (_vol, _updatedAt);
    }
}
