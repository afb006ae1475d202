// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {FixedPointMathLib} from "solady/utils/FixedPointMathLib.sol";
import {IRealizedVolatility} from "../interfaces/IRealizedVolatility.sol";
import {IVolatilityFeed} from "../interfaces/IVolatilityFeed.sol";
import {ESSVI} from "../math/ESSVI.sol";
import {ReportVerifier} from "./ReportVerifier.sol";
import {SurfaceBlend} from "./SurfaceBlend.sol";
import {SurfaceStore} from "./SurfaceStore.sol";

/// @title Volatility surface from signed reports
/// @notice Each reporter signs its own opinion of one expiry; anyone carries the opinions here. The median of each variable
///         is taken in memory, and the surface goes toward it as far as the rate clamp and the absence of arbitrage let it.
///
///         Time: a slice's time is the median of the reports' times, each of which must be newer than the last round's,
///         at most one heartbeat old, and not in the future. Each report is first aged to now.
///
///         Every breaker ends by itself. A slice that the clamp or its neighbours hold back from what is reported grows
///         old, leaves the surface when it is FROZEN, and starts anew from the next reports. The guardian's halt ends
///         after STALE_HEARTBEATS, cannot be renewed before as long again has passed, and never reaches FROZEN; no
///         guardian moves money.
contract VolatilityFeed is SurfaceStore, ReportVerifier {
    bytes32 public constant GUARDIAN = keccak256("GUARDIAN");

    /// @notice What implied volatility is compared with, or zero.
    IRealizedVolatility public immutable realizedVolatility;
    uint256 public immutable maxRealizedRatio;
    /// @notice When a guardian's halt ends, or ended.
    uint256 public haltedUntil;

    /// @param admin Grants and revokes the roles REPORTER and GUARDIAN, and readmits reporters.
    /// @param heartbeat_ Greatest age of a fresh slice, in seconds.
    /// @param quorum_ Fewest reports that make a slice.
    /// @param realized A realised volatility to compare with, or zero.
    constructor(
        address admin,
        uint256 heartbeat_,
        uint256 quorum_,
        IRealizedVolatility realized,
        Limits memory limits
    ) SurfaceStore(heartbeat_, limits) ReportVerifier(admin, quorum_, limits) {
        if (limits.maxRealizedRatio < 1e18 || limits.maxRealizedRatio > 1e24) {
            revert LimitOutOfRange("maxRealizedRatio", limits.maxRealizedRatio);
        }
        (realizedVolatility, maxRealizedRatio) = (realized, limits.maxRealizedRatio);
    }

    /// @inheritdoc IVolatilityFeed
    function submit(Report[] calldata reports, bytes[] calldata signatures) external returns (uint256 blend) {
        address[] memory signers = verify(reports, signatures);
        uint64 expiry = reports[0].expiry;
        if (expiry <= block.timestamp) revert ExpiryPassed(expiry);
        if (expiry >= type(uint32).max) revert ExpiryTooLate(expiry);

        Stored memory old = _slices[expiry];
        Round memory round = _read(reports, expiry, _reportedAt(old), _oldest(), maxDeviation);
        SurfaceBlend.Shape memory at;
        bool isHeld;
        (at, blend, isHeld) = _store(expiry, old, round.median, round.time);
        if (isHeld) {
            emit SliceHeld(expiry, round.time, reports.length);
            return 0;
        }
        emit SliceUpdated(expiry, at.theta, at.rhoPsi, at.psi, round.time, reports.length, blend);
        _countMisses(round, reports, signers, heartbeat, maxDeviation);
    }

    /// @dev One heartbeat ago, or as long as fits beside a slice.
    function _oldest() private view returns (uint256) {
        uint256 patience = FixedPointMathLib.min(heartbeat, type(uint16).max);
        return FixedPointMathLib.zeroFloorSub(block.timestamp, patience);
    }

    /// @notice Makes the whole surface STALE for STALE_HEARTBEATS. Reports are taken meanwhile.
    function halt() external onlyRole(GUARDIAN) {
        uint256 length = STALE_HEARTBEATS * heartbeat;
        if (haltedUntil != 0 && block.timestamp < haltedUntil + length) revert HaltedTooSoon(haltedUntil + length);
        haltedUntil = block.timestamp + length;
        emit Halted(msg.sender, haltedUntil);
    }

    /// @inheritdoc IVolatilityFeed
    /// @dev Between two expiries the worse state of both; FROZEN beyond the last and once `expiry` has passed.
    function state(uint64 expiry) external view returns (State worst) {
        (uint64 earlier, uint64 later) = _around(expiry);
        if (expiry <= block.timestamp || later == 0) return State.FROZEN;
        worst = _stateOf(later);
        if (later != expiry && earlier != 0) worst = _worse(worst, _stateOf(earlier));
        if (block.timestamp < haltedUntil) worst = _worse(worst, State.STALE);
        if (worst == State.FRESH && _isFarFromRealized(expiry)) return State.DEGRADED;
    }

    function _worse(State one, State other) private pure returns (State) {
        return one > other ? one : other;
    }

    /// @dev False where there is nothing to compare with: whoever silences the estimate gains nothing and traps nobody.
    function _isFarFromRealized(uint64 expiry) private view returns (bool) {
        if (address(realizedVolatility) == address(0)) return false;
        try realizedVolatility.volatility() returns (uint256 realized, uint256 updatedAt) {
            bool isOld = FixedPointMathLib.zeroFloorSub(block.timestamp, updatedAt) > STALE_HEARTBEATS * heartbeat;
            if (realized == 0 || isOld) return false;
            realized = FixedPointMathLib.min(realized, 1e24);
            (uint256 theta,,) = _interpolated(expiry);
            uint256 implied = FixedPointMathLib.sqrt(theta * 1e18 * ESSVI.YEAR / (expiry - block.timestamp));
            return implied * 1e18 > realized * maxRealizedRatio || realized * 1e18 > implied * maxRealizedRatio;
        } catch {
            return false;
        }
    }
}
