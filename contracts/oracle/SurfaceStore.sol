// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {FixedPointMathLib} from "solady/utils/FixedPointMathLib.sol";
import {IVolatilityFeed} from "../interfaces/IVolatilityFeed.sol";
import {ESSVI} from "../math/ESSVI.sol";
import {ExpiryList} from "./ExpiryList.sol";
import {SurfaceBlend} from "./SurfaceBlend.sol";

/// @title The stored surface: one slice an expiry, aged on read, blended on write
/// @notice Slices that are not FROZEN make the surface. Any two of them are free of calendar arbitrage, as exact
///         fractions, whenever they are read: a write keeps that with both neighbours, ageing and interpolation keep it by
///         themselves (`docs/volatility.md`), and a slice that freezes leaves the surface until it is reported again.
abstract contract SurfaceStore is IVolatilityFeed {
    using ExpiryList for ExpiryList.List;
    using FixedPointMathLib for int256;
    using FixedPointMathLib for uint256;
    using SurfaceBlend for SurfaceBlend.Room;
    using SurfaceBlend for SurfaceBlend.Shape;

    /// @dev One storage slot; the admissible range fits.
    struct Stored {
        uint32 storedAt; // unix seconds, to the year 2106: the three numbers are those of this moment
        uint16 delay; // seconds by which the reports were older
        uint8 behind; // parts of a heartbeat by which the last agreement with the reports was older still, rounded up
        uint72 theta; // wad
        int64 rhoPsi; // wad
        uint64 psi; // wad
    }

    uint256 public constant MAX_EXPIRIES = ExpiryList.MAX;
    /// @dev Ages, in heartbeats, up to which a slice is FRESH, DEGRADED and STALE; older ones are FROZEN.
    uint256 public constant FRESH_HEARTBEATS = 1;
    uint256 public constant DEGRADED_HEARTBEATS = 2;
    uint256 public constant STALE_HEARTBEATS = 8;

    uint256 private constant WAD = 1e18;
    /// @dev Parts of a heartbeat in `Stored.behind`; 255 of them are more than STALE_HEARTBEATS.
    uint256 private constant PARTS = 16;
    /// @dev Moves of ln(theta) beyond this are not bounded: e^40 is more than the whole domain.
    uint256 private constant MAX_MOVE = 40e18;

    /// @inheritdoc IVolatilityFeed
    uint256 public immutable heartbeat;
    uint256 public immutable maxRise;
    uint256 public immutable maxFall;
    uint256 public immutable maxDeviation;

    mapping(uint64 expiry => Stored) internal _slices;
    ExpiryList.List private _expiries; // those that have passed go with the next new expiry

    constructor(uint256 heartbeat_, Limits memory limits) {
        if (heartbeat_ == 0 || heartbeat_ > 365 days) revert HeartbeatOutOfRange(heartbeat_);
        if (limits.maxRise == 0) revert LimitOutOfRange("maxRise", 0);
        if (limits.maxFall == 0) revert LimitOutOfRange("maxFall", 0);
        if (limits.maxRise > 1e24) revert LimitOutOfRange("maxRise", limits.maxRise);
        if (limits.maxFall > 1e24) revert LimitOutOfRange("maxFall", limits.maxFall);
        if (limits.maxDeviation == 0 || limits.maxDeviation > WAD) {
            revert LimitOutOfRange("maxDeviation", limits.maxDeviation);
        }
        (heartbeat, maxRise, maxFall) = (heartbeat_, limits.maxRise, limits.maxFall);
        maxDeviation = limits.maxDeviation;
        _expiries.clear();
    }

    // ---------------------------------------------------------------- reading

    /// @inheritdoc IVolatilityFeed
    function slice(uint64 expiry) external view returns (Slice memory) {
        Stored memory at = _slices[expiry];
        if (at.storedAt == 0) revert NoSlice(expiry);
        (uint256 theta, int256 rhoPsi, uint256 psi) = _aged(expiry);
        return Slice(theta, rhoPsi, psi, uint64(_reportedAt(at)));
    }

    /// @notice A slice as it is stored: `slice` and every check age these numbers by (expiry - now) / (expiry - storedAt).
    function stored(uint64 expiry) external view returns (Stored memory) {
        return _slices[expiry];
    }

    /// @inheritdoc IVolatilityFeed
    function volatility(uint64 expiry, uint256 strike, uint256 forward) external view returns (uint256 vol) {
        if (expiry <= block.timestamp) revert ExpiryPassed(expiry);
        (uint256 theta, int256 rhoPsi, uint256 psi) = _interpolated(expiry);
        return ESSVI.impliedVol(forward, strike, expiry - block.timestamp, theta, rhoPsi, psi);
    }

    /// @inheritdoc IVolatilityFeed
    function storedAt(uint64 expiry) external view returns (uint256) {
        (uint64 earlier, uint64 later) = _around(expiry);
        return FixedPointMathLib.max(_slices[earlier].storedAt, _slices[later].storedAt);
    }

    /// @inheritdoc IVolatilityFeed
    function expiries() external view returns (uint64[] memory) {
        (uint256 first, uint256 second) = _expiries.load();
        return ExpiryList.from(first, second, ExpiryList.below(first, second, block.timestamp + 1));
    }

    /// @dev Linear in time between the expiries around; before the first, between it and the origin. Each variable is rounded
    ///      toward zero.
    function _interpolated(uint64 expiry) internal view returns (uint256 theta, int256 rhoPsi, uint256 psi) {
        (uint64 earlier, uint64 later) = _around(expiry);
        if (later == 0) revert NoSlice(expiry);
        (theta, rhoPsi, psi) = _aged(later);
        if (later == expiry) return (theta, rhoPsi, psi);
        unchecked {
            uint256 start = earlier == 0 ? block.timestamp : earlier;
            (uint256 weight, uint256 span) = (expiry - start, later - start);
            (uint256 thetaFrom, int256 rhoPsiFrom, uint256 psiFrom) = earlier == 0 ? (0, int256(0), 0) : _aged(earlier);
            uint256 rest = span - weight;
            theta = (thetaFrom * rest + theta * weight).rawDiv(span);
            rhoPsi = (rhoPsiFrom * int256(rest) + rhoPsi * int256(weight)).rawSDiv(int256(span));
            psi = (psiFrom * rest + psi * weight).rawDiv(span);
        }
    }

    /// @dev The last live expiry before `expiry` and the first at or after it; 0 where there is none.
    function _around(uint64 expiry) internal view returns (uint64 earlier, uint64 later) {
        if (expiry >= ExpiryList.NONE || expiry == 0) return (0, 0);
        (uint256 first, uint256 second) = _expiries.load();
        uint256 place = ExpiryList.below(first, second, expiry);
        later = ExpiryList.at(first, second, place);
        if (later == ExpiryList.NONE) later = 0;
        unchecked {
            if (place != 0) earlier = ExpiryList.at(first, second, place - 1);
        }
        if (earlier <= block.timestamp) earlier = 0;
    }

    /// @dev A slice now: theta rounded up, the others toward zero, which keeps it free of butterflies.
    function _aged(uint64 expiry) internal view returns (uint256, int256, uint256) {
        Stored storage at = _slices[expiry];
        unchecked {
            uint256 left = FixedPointMathLib.zeroFloorSub(expiry, block.timestamp);
            uint256 whole = expiry - at.storedAt;
            return (
                (at.theta * left + whole - 1).rawDiv(whole),
                (at.rhoPsi * int256(left)).rawSDiv(int256(whole)),
                (at.psi * left).rawDiv(whole)
            );
        }
    }

    function _shapeOf(uint64 expiry) private view returns (SurfaceBlend.Shape memory at) {
        (at.theta, at.rhoPsi, at.psi) = _aged(expiry);
    }

    // ---------------------------------------------------------------- states

    /// @dev By the age of the last report that the slice agrees with; one that has moved on without agreeing is not FRESH.
    function _stateOf(uint64 expiry) internal view returns (State) {
        return _stateOf(_slices[expiry]);
    }

    function _stateOf(Stored memory at) private view returns (State) {
        uint256 age = _age(at.storedAt, at.delay, at.behind);
        uint256 beat = heartbeat * PARTS;
        if (age <= FRESH_HEARTBEATS * beat) return at.behind == 0 ? State.FRESH : State.DEGRADED;
        if (age <= DEGRADED_HEARTBEATS * beat) return State.DEGRADED;
        return age <= STALE_HEARTBEATS * beat ? State.STALE : State.FROZEN;
    }

    function _isFrozen(uint256 storedAt_, uint256 delay, uint256 behind) private view returns (bool) {
        unchecked {
            return _age(storedAt_, delay, behind) > STALE_HEARTBEATS * PARTS * heartbeat;
        }
    }

    /// @dev Time since the last agreement with the reports, in seconds over PARTS.
    function _age(uint256 storedAt_, uint256 delay, uint256 behind) private view returns (uint256) {
        unchecked {
            return (block.timestamp - storedAt_ + delay) * PARTS + behind * heartbeat;
        }
    }

    /// @dev The time that new reports of an expiry must be later than; 0 where there is no slice.
    function _reportedAt(Stored memory at) internal pure returns (uint256) {
        unchecked {
            return uint256(at.storedAt) - at.delay;
        }
    }

    // ---------------------------------------------------------------- writing

    /// @dev The casts are safe: the room admits theta up to 2^67, psi below 2^62, and `reportedAt` within 2^16 seconds.
    /// Stores the furthest admissible step toward the median; what is there stays, held, where there is none.
    function _store(uint64 expiry, Stored memory old, SurfaceBlend.Shape memory median, uint256 reportedAt)
        internal
        returns (SurfaceBlend.Shape memory shape, uint256 blend, bool isHeld)
    {
        SurfaceBlend.Room memory room = SurfaceBlend.open();
        if (old.storedAt != 0 && !_isFrozen(old.storedAt, old.delay, old.behind)) {
            _neighbours(room, expiry);
            shape = _shapeOf(expiry);
            _clamp(room, shape.theta, median.theta, reportedAt - _reportedAt(old));
            (shape, blend) = room.find(shape, median);
            if (blend == 0) return (shape, 0, true);
        } else {
            (shape, blend) = _start(room, expiry, median);
            if (old.storedAt == 0) _expiries.insert(expiry, block.timestamp);
        }
        bool agrees = blend == WAD || !shape.isOff(median, maxDeviation);
        unchecked {
            _slices[expiry] = Stored(
                uint32(block.timestamp),
                uint16(block.timestamp - reportedAt),
                agrees ? 0 : _behind(old, reportedAt),
                uint72(shape.theta),
                int64(shape.rhoPsi),
                uint64(shape.psi)
            );
        }
    }

    /// @dev The first slice of an expiry, and the first after it was frozen, comes from the surface between its neighbours;
    ///      beyond the last, from that one's wings and no less variance; alone, from a flat smile at the reported variance. It is not clamped: nobody could trade on what it replaces.
    function _start(SurfaceBlend.Room memory room, uint64 expiry, SurfaceBlend.Shape memory median)
        private
        view
        returns (SurfaceBlend.Shape memory shape, uint256 blend)
    {
        (uint64 earlier, uint64 later) = _neighbours(room, expiry);
        SurfaceBlend.Shape memory anchor = SurfaceBlend.Shape(median.theta, 0, 0);
        if (later != 0) {
            // what is read there now, were the frozen ones gone; psi / theta a hair up before the first, for rounding
            uint256 start = earlier == 0 ? block.timestamp : earlier;
            SurfaceBlend.Shape memory from;
            if (earlier != 0) from = _shapeOf(earlier);
            anchor = SurfaceBlend.mix(from, _shapeOf(later), (expiry - start) * WAD / (later - start));
            if (earlier == 0) anchor.psi += anchor.psi / 1e9 + 1;
        } else if (earlier != 0) {
            uint256 least = room.thetaMin + (room.thetaMin >> 20) + 1; // for rounding
            anchor.theta = FixedPointMathLib.min(FixedPointMathLib.max(least, median.theta), room.thetaMax);
            anchor.psi = uint256((room.upMin + room.downMin + 1) / 2);
            anchor.rhoPsi = int256(anchor.psi) - room.downMin;
        }
        (shape, blend) = room.find(anchor, median);
        if (blend == 0 && !room.admits(anchor)) revert NotAdmissible(expiry, "calendar");
    }

    /// @dev The nearest slices on either side that are not frozen: a slice that nobody keeps alive must not veto the others.
    function _neighbours(SurfaceBlend.Room memory room, uint64 expiry)
        private
        view
        returns (uint64 earlier, uint64 later)
    {
        (uint256 first, uint256 second) = _expiries.load();
        uint256 place = ExpiryList.below(first, second, expiry);
        unchecked {
            for (uint256 i = place; i > 0; --i) {
                uint64 candidate = ExpiryList.at(first, second, i - 1);
                if (candidate <= block.timestamp) break;
                Stored storage at = _slices[candidate];
                if (_isFrozen(at.storedAt, at.delay, at.behind)) continue;
                (uint256 left, uint256 whole) = (candidate - block.timestamp, candidate - at.storedAt);
                room.setEarlier(at.theta, at.rhoPsi, at.psi, left, whole);
                earlier = candidate;
                break;
            }
            for (uint256 i = ExpiryList.at(first, second, place) == expiry ? place + 1 : place;; ++i) {
                uint64 candidate = ExpiryList.at(first, second, i);
                if (candidate == ExpiryList.NONE) break;
                Stored storage at = _slices[candidate];
                if (_isFrozen(at.storedAt, at.delay, at.behind)) continue;
                (uint256 left, uint256 whole) = (candidate - block.timestamp, candidate - at.storedAt);
                room.setLater(at.theta, at.rhoPsi, at.psi, left, whole);
                later = candidate;
                break;
            }
        }
    }

    /// @dev |change of ln(ATM vol)| <= c sqrt(dt) is a bound on theta: ATM variance is vol squared.
    function _clamp(SurfaceBlend.Room memory room, uint256 theta, uint256 target, uint256 elapsed) private view {
        uint256 speed = target > theta ? maxRise : maxFall;
        unchecked {
            uint256 move = 2 * FixedPointMathLib.sqrt(speed * speed * elapsed / 1 days);
            if (move > MAX_MOVE) return;
            if (target > theta) {
                uint256 most = theta * uint256(FixedPointMathLib.expWad(int256(move))) / WAD;
                room.thetaMax = FixedPointMathLib.min(room.thetaMax, most);
            } else {
                uint256 least = FixedPointMathLib.divUp(theta * uint256(FixedPointMathLib.expWad(-int256(move))), WAD);
                room.thetaMin = FixedPointMathLib.max(room.thetaMin, least);
            }
        }
    }

    /// @dev A slice that starts short of the median is one part behind.
    function _behind(Stored memory old, uint256 reportedAt) private view returns (uint8) {
        if (old.storedAt == 0 || _isFrozen(old.storedAt, old.delay, old.behind)) return 1;
        unchecked {
            uint256 parts = ((reportedAt - _reportedAt(old)) * PARTS + heartbeat - 1).rawDiv(heartbeat);
            return uint8(FixedPointMathLib.min(parts + old.behind, type(uint8).max));
        }
    }
}
