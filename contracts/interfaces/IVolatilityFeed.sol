// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @title IVolatilityFeed
/// @notice Implied-volatility surface as one eSSVI slice per expiry, reported by several signers.
///         A slice is (theta, rho psi, psi): ATM total variance, and the two products that stay linear when a slice
///         ages or is interpolated. All wad. On read all three scale with the time that is left, so implied volatility
///         at fixed moneyness stays put as time passes.
interface IVolatilityFeed {
    /// @dev FRESH: all actions. DEGRADED: older than one heartbeat, short of what was reported, or far from realised
    ///      volatility; quotes widen. STALE: no new risk, hedges must reduce. FROZEN: settlement, redemption pro rata and
    ///      deleverage only. `ActionTable` holds what each allows.
    enum State { FRESH, DEGRADED, STALE, FROZEN }

    /// @notice One reporter's opinion of one expiry. EIP-712 type:
    ///         Report(uint64 expiry,uint64 timestamp,uint256 theta,int256 rho,uint256 psi)
    struct Report {
        uint64 expiry; // unix seconds
        uint64 timestamp; // when the reporter observed it, unix seconds
        uint256 theta; // ATM total variance at `timestamp`, wad
        int256 rho; // in (-1, 1), wad
        uint256 psi; // theta * phi, wad
    }

    struct Slice {
        uint256 theta; // wad, aged to now
        int256 rhoPsi; // wad, aged to now
        uint256 psi; // wad, aged to now
        uint64 reportedAt; // unix seconds; 0 where nothing was ever reported
    }

    /// @notice What bounds the reporters. Fractions and logarithms of volatility are wad.
    struct Limits {
        uint256 maxRise; // largest rise of ln(ATM vol) from one report to the next, per square root of a day between them
        uint256 maxFall; // largest fall, likewise
        uint256 maxDeviation; // a report, or the stored slice, that is further from the median counts as off
        uint256 maxMisses; // reports off the median, each in a heartbeat of its own, that exclude a reporter
        uint256 exclusion; // seconds for which
        uint256 maxRealizedRatio; // ATM vol over realised vol, or the reverse, above which a slice is DEGRADED
    }

    /// @param blend How far the stored slice came from the old one toward the median, wad; 1e18 where it is the median.
    event SliceUpdated(
        uint64 indexed expiry,
        uint256 theta,
        int256 rhoPsi,
        uint256 psi,
        uint64 timestamp,
        uint256 reporters,
        uint256 blend
    );
    /// @notice No step toward the median is admissible: the old slice stays, and grows older.
    event SliceHeld(uint64 indexed expiry, uint64 timestamp, uint256 reporters);
    event ReporterMissed(address indexed reporter, uint64 indexed expiry, uint64 timestamp, uint256 misses);
    event ReporterExcluded(address indexed reporter, uint256 until);
    event ReporterReadmitted(address indexed reporter);
    event Halted(address indexed guardian, uint256 until);

    error NotReporter(address signer);
    error ReporterIsExcluded(address signer, uint256 until);
    error ReportersNotAscending(address signer);
    error QuorumNotMet(uint256 reports, uint256 quorum);
    error TooManyReports(uint256 reports, uint256 max);
    error TooManyReporters(uint256 max);
    error SignaturesMissing(uint256 reports, uint256 signatures);
    error ReportTooOld(uint64 timestamp, uint64 last);
    error ReportFromFuture(uint64 timestamp, uint256 now_);
    error MixedExpiries(uint64 expiry, uint64 other);
    error ExpiryPassed(uint64 expiry);
    error ExpiryTooLate(uint64 expiry);
    error NotAdmissible(uint64 expiry, bytes32 condition);
    error NoSlice(uint64 expiry);
    error HaltedTooSoon(uint256 readyAt);
    error HeartbeatOutOfRange(uint256 heartbeat);
    error QuorumOutOfRange(uint256 quorum, uint256 max);
    error LimitOutOfRange(bytes32 name, uint256 value);

    /// @notice Takes the coordinate-wise median of (theta, rho psi, psi), each aged to now, over signed reports of one
    ///         expiry, and stores the slice furthest from the old one toward it that passes the rate clamp and leaves the
    ///         surface free of butterfly and calendar arbitrage. Signers must be reporters in ascending address order.
    ///         Anyone may carry the reports.
    /// @return blend How far toward the median, wad, rounded down; 0 where the old slice stays as it was.
    function submit(Report[] calldata reports, bytes[] calldata signatures) external returns (uint256 blend);

    /// @notice The slice of `expiry` aged to now; reverts with `NoSlice` where none was reported. Theta is rounded up, the
    ///         others toward zero.
    function slice(uint64 expiry) external view returns (Slice memory);

    /// @notice Annualised implied volatility, wad, for a strike at a forward (both wad). Linear in T between expiries,
    ///         reverts beyond the last; never older than the heartbeat without the state saying so.
    function volatility(uint64 expiry, uint256 strike, uint256 forward) external view returns (uint256 vol);

    /// @notice What may be done on what `expiry` is read from: the worse of the slices around it.
    function state(uint64 expiry) external view returns (State);

    /// @notice When what `expiry` is read from last changed: the newest submission of the slices around it, unix seconds.
    function storedAt(uint64 expiry) external view returns (uint256);

    /// @notice Expiries with a slice that have not passed, ascending.
    function expiries() external view returns (uint64[] memory);

    function heartbeat() external view returns (uint256 seconds_);
}
