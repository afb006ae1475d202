// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {AccessControl} from "@openzeppelin/contracts/access/AccessControl.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {FixedPointMathLib} from "solady/utils/FixedPointMathLib.sol";
import {SafeCastLib} from "solady/utils/SafeCastLib.sol";
import {IVolatilityFeed} from "../interfaces/IVolatilityFeed.sol";
import {ESSVI} from "../math/ESSVI.sol";
import {Median} from "./Median.sol";

/// @title Volatility surface from signed reports
/// @notice Each reporter signs its own opinion of one expiry; anyone carries the opinions here, and the median of each
///         variable is stored if it leaves the surface free of butterfly and calendar arbitrage.
///
///         Trust: of 2f + 1 reports, f lies cannot take a stored variable out of the range of the honest ones. The
///         carrier chooses which reports to include, so `quorum` must be at least 2f + 1.
///
///         Time: the slice's time is the median of the reports' times, each of which must be newer than the stored
///         slice, at most one heartbeat old, and not in the future. Each report is first aged to that time.
contract VolatilityFeed is IVolatilityFeed, EIP712, AccessControl {
    using SafeCastLib for uint256;
    using SafeCastLib for int256;

    error ZeroHeartbeat();
    error QuorumOutOfRange(uint256 quorum, uint256 max);
    error TooManyReports(uint256 reports, uint256 max);
    error SignaturesMissing(uint256 reports, uint256 signatures);

    /// @dev One storage slot; the admissible range fits.
    struct Stored {
        uint32 reportedAt; // unix seconds, to the year 2106
        uint24 delay; // seconds from `reportedAt` until it was stored
        uint72 theta; // wad, at `reportedAt`
        int64 rhoPsi; // wad, at `reportedAt`
        uint64 psi; // wad, at `reportedAt`
    }

    bytes32 public constant REPORTER = keccak256("REPORTER");
    bytes32 public constant REPORT_TYPEHASH =
        keccak256("Report(uint64 expiry,uint64 timestamp,uint256 theta,int256 rho,uint256 psi)");
    uint256 public constant MAX_REPORTS = 16;
    uint256 public constant MAX_EXPIRIES = 16;

    /// @dev Ages, in heartbeats, up to which a slice is FRESH, DEGRADED and STALE; older ones are FROZEN.
    uint256 public constant FRESH_HEARTBEATS = 1;
    uint256 public constant DEGRADED_HEARTBEATS = 2;
    uint256 public constant STALE_HEARTBEATS = 8;

    /// @inheritdoc IVolatilityFeed
    uint256 public immutable heartbeat;
    /// @notice Fewest reports that make a slice.
    uint256 public immutable quorum;

    mapping(uint64 expiry => Stored) private _slices;
    uint64[] private _expiries; // ascending; those that have passed go with the next new expiry

    /// @param admin Grants and revokes the role REPORTER.
    /// @param heartbeat_ Greatest age of a fresh slice, in seconds.
    /// @param quorum_ Fewest reports that make a slice.
    constructor(address admin, uint256 heartbeat_, uint256 quorum_) EIP712("VolatilityFeed", "1") {
        if (heartbeat_ == 0) revert ZeroHeartbeat();
        if (quorum_ == 0 || quorum_ > MAX_REPORTS) revert QuorumOutOfRange(quorum_, MAX_REPORTS);
        _grantRole(DEFAULT_ADMIN_ROLE, admin);
        heartbeat = heartbeat_;
        quorum = quorum_;
    }

    /// @inheritdoc IVolatilityFeed
    function submit(Report[] calldata reports, bytes[] calldata signatures) external {
        if (reports.length < quorum) revert QuorumNotMet(reports.length, quorum);
        if (reports.length > MAX_REPORTS) revert TooManyReports(reports.length, MAX_REPORTS);
        if (reports.length != signatures.length) revert SignaturesMissing(reports.length, signatures.length);
        uint64 expiry = reports[0].expiry;
        if (expiry <= block.timestamp) revert ExpiryPassed(expiry);

        _checkSigners(reports, signatures);
        Slice memory median = _median(reports, expiry);
        _checkArbitrage(median, expiry);
        _list(expiry);
        _slices[expiry] = Stored(
            uint256(median.reportedAt).toUint32(),
            (block.timestamp - median.reportedAt).toUint24(),
            median.theta.toUint72(),
            median.rhoPsi.toInt64(),
            median.psi.toUint64()
        );
        emit SliceUpdated(expiry, median.theta, median.rhoPsi, median.psi, median.reportedAt, reports.length);
    }

    /// @inheritdoc IVolatilityFeed
    function slice(uint64 expiry) external view returns (Slice memory) {
        return _aged(expiry);
    }

    /// @inheritdoc IVolatilityFeed
    function volatility(uint64 expiry, uint256 strike, uint256 forward) external view returns (uint256 vol) {
        if (expiry <= block.timestamp) revert ExpiryPassed(expiry);
        Slice memory at = _interpolated(expiry);
        return ESSVI.impliedVol(forward, strike, expiry - block.timestamp, at.theta, at.rhoPsi, at.psi);
    }

    /// @inheritdoc IVolatilityFeed
    /// @dev Between two expiries the worse state of both; FROZEN beyond the last and once `expiry` has passed.
    function state(uint64 expiry) external view returns (State) {
        (uint64 earlier, uint64 later) = _around(expiry);
        if (expiry <= block.timestamp || later == 0) return State.FROZEN;
        State ofLater = _stateOf(later);
        if (later == expiry || earlier == 0) return ofLater;
        State ofEarlier = _stateOf(earlier);
        return ofEarlier > ofLater ? ofEarlier : ofLater;
    }

    /// @inheritdoc IVolatilityFeed
    function storedAt(uint64 expiry) external view returns (uint256) {
        (uint64 earlier, uint64 later) = _around(expiry);
        return FixedPointMathLib.max(_storedAt(earlier), _storedAt(later));
    }

    /// @inheritdoc IVolatilityFeed
    function expiries() public view returns (uint64[] memory live) {
        uint64[] memory all = _expiries;
        uint256 passed = 0;
        while (passed < all.length && all[passed] <= block.timestamp) passed++;
        live = new uint64[](all.length - passed);
        for (uint256 i = 0; i < live.length; i++) live[i] = all[passed + i];
    }

    /// @notice What reporters sign: the EIP-712 digest of a report, bound to this chain and this contract.
    function digest(Report calldata report) public view returns (bytes32) {
        return _hashTypedDataV4(
            keccak256(
                abi.encode(REPORT_TYPEHASH, report.expiry, report.timestamp, report.theta, report.rho, report.psi)
            )
        );
    }

    function _checkSigners(Report[] calldata reports, bytes[] calldata signatures) private view {
        address previous = address(0);
        for (uint256 i = 0; i < reports.length; i++) {
            address signer = ECDSA.recover(digest(reports[i]), signatures[i]);
            if (!hasRole(REPORTER, signer)) revert NotReporter(signer);
            if (signer <= previous) revert ReportersNotAscending(signer);
            previous = signer;
        }
    }

    /// @dev (theta, rho psi, psi) of every report, aged to the median time; then the median of each.
    function _median(Report[] calldata reports, uint64 expiry) private view returns (Slice memory median) {
        uint256[] memory thetas = new uint256[](reports.length);
        int256[] memory rhoPsis = new int256[](reports.length);
        uint256[] memory psis = new uint256[](reports.length);
        median.reportedAt = _medianTime(reports, expiry);
        for (uint256 i = 0; i < reports.length; i++) {
            Report calldata report = reports[i];
            if (report.theta > ESSVI.MAX_THETA) revert NotAdmissible(expiry, "theta");
            if (report.rho <= -1e18 || report.rho >= 1e18) revert NotAdmissible(expiry, "rho");
            if (report.psi >= ESSVI.MAX_PSI) revert NotAdmissible(expiry, "psi");
            (thetas[i], rhoPsis[i], psis[i]) = ESSVI.age(
                report.theta,
                FixedPointMathLib.sMulWad(report.rho, int256(report.psi)),
                report.psi,
                expiry - median.reportedAt,
                expiry - report.timestamp
            );
        }
        (median.theta, median.rhoPsi, median.psi) = (Median.find(thetas), Median.find(rhoPsis), Median.find(psis));
    }

    function _medianTime(Report[] calldata reports, uint64 expiry) private view returns (uint64) {
        uint64 last = _slices[expiry].reportedAt;
        uint256 oldest = FixedPointMathLib.zeroFloorSub(block.timestamp, heartbeat);
        uint256[] memory times = new uint256[](reports.length);
        for (uint256 i = 0; i < reports.length; i++) {
            Report calldata report = reports[i];
            if (report.expiry != expiry) revert MixedExpiries(expiry, report.expiry);
            if (report.timestamp > block.timestamp) revert ReportFromFuture(report.timestamp, block.timestamp);
            if (report.timestamp <= last) revert ReportTooOld(report.timestamp, last);
            if (report.timestamp < oldest) revert ReportTooOld(report.timestamp, uint64(oldest));
            times[i] = report.timestamp;
        }
        return uint64(Median.find(times));
    }

    /// @dev Neighbours are the nearest slices on either side that are not frozen: a slice that nobody keeps alive must not
    ///      veto the others, and nobody may trade against it.
    function _checkArbitrage(Slice memory median, uint64 expiry) private view {
        if (!ESSVI.isButterflyFree(median.theta, median.rhoPsi, median.psi)) revert NotAdmissible(expiry, "butterfly");
        Slice memory now_ = _agedFrom(median, expiry);
        uint64[] memory live = expiries();
        uint64 earlier = 0;
        uint64 later = 0;
        for (uint256 i = 0; i < live.length && later == 0; i++) {
            if (live[i] == expiry || _stateOf(live[i]) == State.FROZEN) continue;
            if (live[i] < expiry) earlier = live[i];
            else later = live[i];
        }
        if (earlier != 0 && !_isCalendarFree(_aged(earlier), now_)) revert NotAdmissible(expiry, "calendarEarlier");
        if (later != 0 && !_isCalendarFree(now_, _aged(later))) revert NotAdmissible(expiry, "calendarLater");
    }

    function _isCalendarFree(Slice memory earlier, Slice memory later) private pure returns (bool) {
        return ESSVI.isCalendarFree(
            earlier.theta, earlier.rhoPsi, earlier.psi, later.theta, later.rhoPsi, later.psi
        );
    }

    /// @dev Inserts a new expiry in its place and drops those that have passed; nothing is written for a known one.
    function _list(uint64 expiry) private {
        if (_slices[expiry].reportedAt != 0) return;
        uint64[] memory live = expiries();
        if (live.length == MAX_EXPIRIES) revert TooManyExpiries(live.length);
        uint64[] memory listed = new uint64[](live.length + 1);
        uint256 place = live.length;
        for (; place > 0 && live[place - 1] > expiry; place--) listed[place] = live[place - 1];
        listed[place] = expiry;
        for (; place > 0; place--) listed[place - 1] = live[place - 1];
        _expiries = listed;
    }

    /// @dev Linear in time between the expiries around; before the first, between it and the origin.
    function _interpolated(uint64 expiry) private view returns (Slice memory result) {
        (uint64 earlier, uint64 later) = _around(expiry);
        if (later == 0) revert NoSlice(expiry);
        result = _aged(later);
        if (later == expiry) return result;
        Slice memory from;
        if (earlier != 0) from = _aged(earlier);
        uint256 start = earlier == 0 ? block.timestamp : earlier;
        uint256 span = later - start;
        uint256 weight = expiry - start;
        result.theta = (from.theta * (span - weight) + result.theta * weight) / span;
        result.psi = (from.psi * (span - weight) + result.psi * weight) / span;
        result.rhoPsi = (from.rhoPsi * int256(span - weight) + result.rhoPsi * int256(weight)) / int256(span);
    }

    /// @dev The last live expiry before `expiry` and the first at or after it; 0 where there is none.
    function _around(uint64 expiry) private view returns (uint64 earlier, uint64 later) {
        uint64[] memory live = expiries();
        for (uint256 i = 0; i < live.length; i++) {
            if (live[i] >= expiry) return (earlier, live[i]);
            earlier = live[i];
        }
    }

    function _aged(uint64 expiry) private view returns (Slice memory) {
        Stored memory stored = _slices[expiry];
        if (stored.reportedAt == 0) revert NoSlice(expiry);
        return _agedFrom(Slice(stored.theta, stored.rhoPsi, stored.psi, stored.reportedAt), expiry);
    }

    function _agedFrom(Slice memory reported, uint64 expiry) private view returns (Slice memory aged) {
        aged.reportedAt = reported.reportedAt;
        (aged.theta, aged.rhoPsi, aged.psi) = ESSVI.age(
            reported.theta,
            reported.rhoPsi,
            reported.psi,
            FixedPointMathLib.zeroFloorSub(expiry, block.timestamp),
            expiry - reported.reportedAt
        );
    }

    function _storedAt(uint64 expiry) private view returns (uint256) {
        Stored memory stored = _slices[expiry];
        return uint256(stored.reportedAt) + stored.delay;
    }

    function _stateOf(uint64 expiry) private view returns (State) {
        uint256 age = block.timestamp - _slices[expiry].reportedAt;
        if (age <= FRESH_HEARTBEATS * heartbeat) return State.FRESH;
        if (age <= DEGRADED_HEARTBEATS * heartbeat) return State.DEGRADED;
        if (age <= STALE_HEARTBEATS * heartbeat) return State.STALE;
        return State.FROZEN;
    }
}
