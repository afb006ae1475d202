// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {AccessControl} from "@openzeppelin/contracts/access/AccessControl.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {FixedPointMathLib} from "solady/utils/FixedPointMathLib.sol";
import {IVolatilityFeed} from "../interfaces/IVolatilityFeed.sol";
import {ESSVI} from "../math/ESSVI.sol";
import {Median} from "./Median.sol";
import {SurfaceBlend} from "./SurfaceBlend.sol";

/// @title Who may report, and what a round of reports says
/// @notice Of 2f + 1 reports, f lies cannot take a variable of the median out of the range of the honest ones. The carrier
///         chooses which reports to include, so `quorum` must be at least 2f + 1.
///
///         A report that is off the median is a miss; `maxMisses` of them, each in a heartbeat of its own and none more
///         than MEMORY heartbeats after the one before, exclude the reporter for a time or until the admin says otherwise.
///         Honest reporters that agree within `maxDeviation` cannot miss, and nobody is excluded whom the quorum needs.
abstract contract ReportVerifier is IVolatilityFeed, EIP712, AccessControl {
    using Median for int256[];
    using Median for uint256[];
    using SurfaceBlend for SurfaceBlend.Shape;

    /// @dev One storage slot.
    struct Reporter {
        bool isActive;
        uint8 misses;
        uint40 missedAt; // unix seconds; time of the last report that counted as a miss
        uint40 excludedUntil; // unix seconds
    }

    /// @dev What the reports on one expiry say of now.
    struct Round {
        uint64 time; // median of the reports' times
        SurfaceBlend.Shape median;
        bool isClose; // nobody can be off
    }

    bytes32 public constant REPORTER = keccak256("REPORTER");
    bytes32 public constant REPORT_TYPEHASH =
        keccak256("Report(uint64 expiry,uint64 timestamp,uint256 theta,int256 rho,uint256 psi)");
    uint256 public constant MAX_REPORTS = 16;
    /// @notice Heartbeats after which a miss is forgotten.
    uint256 public constant MEMORY = 8;
    /// @dev A miss is a report made within this part of a heartbeat of the median time: an honest one that somebody kept
    ///      back while the market moved must not count.
    uint256 private constant SAME_MOMENT = 16;

    /// @notice Fewest reports that make a round.
    uint256 public immutable quorum;
    uint256 public immutable maxMisses;
    uint256 public immutable exclusion;

    /// @notice Every reporter's record.
    mapping(address signer => Reporter) public reporterOf;
    address[] private _reporters;

    constructor(address admin, uint256 quorum_, Limits memory limits) EIP712("VolatilityFeed", "1") {
        if (quorum_ == 0 || quorum_ > MAX_REPORTS) revert QuorumOutOfRange(quorum_, MAX_REPORTS);
        if (limits.maxMisses == 0 || limits.maxMisses > 255) revert LimitOutOfRange("maxMisses", limits.maxMisses);
        if (limits.exclusion > 365 days) revert LimitOutOfRange("exclusion", limits.exclusion);
        (quorum, maxMisses, exclusion) = (quorum_, limits.maxMisses, limits.exclusion);
        _grantRole(DEFAULT_ADMIN_ROLE, admin);
    }

    /// @notice Every address with the role REPORTER.
    function reporters() external view returns (address[] memory) {
        return _reporters;
    }

    /// @notice Lets an excluded reporter back before its time.
    function readmit(address reporter) external onlyRole(DEFAULT_ADMIN_ROLE) {
        if (!reporterOf[reporter].isActive) revert NotReporter(reporter);
        reporterOf[reporter] = Reporter(true, 0, 0, 0);
        emit ReporterReadmitted(reporter);
    }

    /// @notice What reporters sign: the EIP-712 digest of a report, bound to this chain and this contract.
    function digest(Report calldata report) external view returns (bytes32) {
        return _digest(_domainSeparatorV4(), report);
    }

    function _digest(bytes32 domain, Report calldata report) private pure returns (bytes32) {
        return MessageHashUtils.toTypedDataHash(domain, keccak256(abi.encode(REPORT_TYPEHASH, report)));
    }

    // ---------------------------------------------------------------- a round

    /// @notice Who signed a round; reverts unless they are a quorum of reporters in ascending order.
    function verify(Report[] calldata reports, bytes[] calldata signatures)
        public
        view
        returns (address[] memory signers)
    {
        if (reports.length < quorum) revert QuorumNotMet(reports.length, quorum);
        if (reports.length > MAX_REPORTS) revert TooManyReports(reports.length, MAX_REPORTS);
        if (reports.length != signatures.length) revert SignaturesMissing(reports.length, signatures.length);
        signers = new address[](reports.length);
        bytes32 domain = _domainSeparatorV4();
        address previous = address(0);
        for (uint256 i = 0; i < reports.length; i++) {
            address signer = ECDSA.recoverCalldata(_digest(domain, reports[i]), signatures[i]);
            Reporter storage reporter = reporterOf[signer];
            if (!reporter.isActive) revert NotReporter(signer);
            if (reporter.excludedUntil > block.timestamp) revert ReporterIsExcluded(signer, reporter.excludedUntil);
            if (signer <= previous) revert ReportersNotAscending(signer);
            signers[i] = previous = signer;
        }
    }

    /// @dev Median of the times and of each variable, aged to now.
    /// @param last Time of the expiry's last round, which every report must be later than.
    /// @param oldest Reports from before this are refused.
    function _read(Report[] calldata reports, uint64 expiry, uint256 last, uint256 oldest, uint256 tolerance)
        internal
        view
        returns (Round memory round)
    {
        uint256 count = reports.length;
        uint256[] memory times = new uint256[](count);
        uint256[] memory thetas = new uint256[](count);
        int256[] memory rhoPsis = new int256[](count);
        uint256[] memory psis = new uint256[](count);
        for (uint256 i = 0; i < count; i++) {
            Report calldata report = reports[i];
            if (report.expiry != expiry) revert MixedExpiries(expiry, report.expiry);
            uint256 time = report.timestamp;
            if (time > block.timestamp) revert ReportFromFuture(uint64(time), block.timestamp);
            if (time <= last) revert ReportTooOld(uint64(time), uint64(last));
            if (time < oldest) revert ReportTooOld(uint64(time), uint64(oldest));
            (uint256 theta, int256 rhoPsi, uint256 psi) = _now(report, expiry, time);
            times.put(i, time);
            thetas.put(i, theta);
            rhoPsis.put(i, rhoPsi);
            psis.put(i, psi);
        }
        round.time = uint64(times.find());
        SurfaceBlend.Shape memory median = SurfaceBlend.Shape(thetas.find(), rhoPsis.find(), psis.find());
        (uint256 near, uint256 nearWings) = median.tolerances(tolerance);
        round.median = median;
        unchecked {
            uint256 apart = psis.spread(median.psi) + rhoPsis.spread(median.rhoPsi);
            round.isClose = thetas.spread(median.theta) <= near && apart <= nearWings;
        }
    }

    /// @dev (theta, rho psi, psi) that a report says of now: theta rounded up, the others toward zero.
    function _now(Report calldata report, uint256 expiry, uint256 time)
        private
        view
        returns (uint256 theta, int256 rhoPsi, uint256 psi)
    {
        (theta, rhoPsi, psi) = (report.theta, report.rho, report.psi);
        if (theta == 0 || theta > ESSVI.MAX_THETA) revert NotAdmissible(uint64(expiry), "theta");
        if (rhoPsi <= -1e18 || rhoPsi >= 1e18) revert NotAdmissible(uint64(expiry), "rho");
        if (psi >= ESSVI.MAX_PSI) revert NotAdmissible(uint64(expiry), "psi");
        unchecked {
            (uint256 left, uint256 whole) = (expiry - block.timestamp, expiry - time);
            theta = (theta * left + whole - 1) / whole;
            rhoPsi = rhoPsi * int256(psi) / 1e18 * int256(left) / int256(whole);
            psi = psi * left / whole;
        }
    }

    // ---------------------------------------------------------------- misses

    /// @dev Notes who was off by more than `tolerance`. Costs nothing where all are close.
    function _countMisses(
        Round memory round,
        Report[] calldata reports,
        address[] memory signers,
        uint256 beat,
        uint256 tolerance
    ) internal {
        if (round.isClose) return;
        for (uint256 i = 0; i < reports.length; i++) {
            Report calldata report = reports[i];
            bool isTimely = FixedPointMathLib.dist(report.timestamp, round.time) * SAME_MOMENT <= beat;
            (uint256 theta, int256 rhoPsi, uint256 psi) = _now(report, report.expiry, report.timestamp);
            if (isTimely && SurfaceBlend.Shape(theta, rhoPsi, psi).isOff(round.median, tolerance)) {
                _miss(signers[i], report.expiry, report.timestamp, beat);
            }
        }
    }

    function _miss(address signer, uint64 expiry, uint64 time, uint256 beat) private {
        Reporter memory reporter = reporterOf[signer];
        if (time < reporter.missedAt + beat) return;
        bool isForgotten = time > reporter.missedAt + MEMORY * beat;
        reporter.misses = isForgotten ? 1 : reporter.misses + 1;
        reporter.missedAt = uint40(time);
        emit ReporterMissed(signer, expiry, time, reporter.misses);
        if (reporter.misses >= maxMisses && _available() > quorum) {
            (reporter.misses, reporter.excludedUntil) = (0, uint40(block.timestamp + exclusion));
            emit ReporterExcluded(signer, reporter.excludedUntil);
        } else if (reporter.misses >= maxMisses) {
            reporter.misses = uint8(maxMisses) - 1; // the next one counts again
        }
        reporterOf[signer] = reporter;
    }

    /// @dev Reporters that may report now.
    function _available() private view returns (uint256 count) {
        for (uint256 i = 0; i < _reporters.length; i++) {
            if (reporterOf[_reporters[i]].excludedUntil <= block.timestamp) count++;
        }
    }

    // ---------------------------------------------------------------- the role, kept in one slot a reporter

    function _grantRole(bytes32 role, address account) internal override returns (bool isNew) {
        isNew = super._grantRole(role, account);
        if (role != REPORTER || !isNew) return isNew;
        if (_reporters.length == MAX_REPORTS) revert TooManyReporters(MAX_REPORTS);
        reporterOf[account].isActive = true;
        _reporters.push(account);
    }

    /// @dev Misses and exclusion stay: leaving and coming back forgives nothing.
    function _revokeRole(bytes32 role, address account) internal override returns (bool wasHeld) {
        wasHeld = super._revokeRole(role, account);
        if (role != REPORTER || !wasHeld) return wasHeld;
        reporterOf[account].isActive = false;
        uint256 last = _reporters.length - 1;
        for (uint256 i = 0; i < last; i++) {
            if (_reporters[i] == account) _reporters[i] = _reporters[last];
        }
        _reporters.pop();
    }
}
