// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @title IVolatilityFeed
/// @notice Implied-volatility surface as one eSSVI slice per expiry, reported by several signers.
///         A slice is (theta, rho psi, psi): ATM total variance, and the two products that stay linear when a slice
///         ages or is interpolated. All wad. Stored at report time T_report; on read all three scale by
///         T_now / T_report, so implied volatility at fixed moneyness stays put as time passes.
interface IVolatilityFeed {
    /// @dev FRESH: all actions. DEGRADED: older than one heartbeat; quotes widen. STALE: no new risk, hedges must
    ///      reduce. FROZEN: settlement, redemption pro rata and deleverage only.
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

    event SliceUpdated(uint64 indexed expiry, uint256 theta, int256 rhoPsi, uint256 psi, uint64 timestamp, uint256 reporters);

    error NotReporter(address signer);
    error ReportersNotAscending(address signer);
    error QuorumNotMet(uint256 reports, uint256 quorum);
    error ReportTooOld(uint64 timestamp, uint64 last);
    error ReportFromFuture(uint64 timestamp, uint256 now_);
    error MixedExpiries(uint64 expiry, uint64 other);
    error ExpiryPassed(uint64 expiry);
    error NotAdmissible(uint64 expiry, bytes32 condition);
    error NoSlice(uint64 expiry);
    error SurfaceNotFresh(uint64 expiry, State state, uint256 age);
    error TooManyExpiries(uint256 count);

    /// @notice Takes the coordinate-wise median of (theta, rho psi, psi) over signed reports of one expiry and stores it
    ///         when it is free of butterfly and calendar arbitrage. Signers must be reporters in ascending address
    ///         order. Anyone may carry the reports.
    function submit(Report[] calldata reports, bytes[] calldata signatures) external;

    /// @notice The slice of `expiry` aged to now; reverts with `NoSlice` where none was reported.
    function slice(uint64 expiry) external view returns (Slice memory);

    /// @notice Annualised implied volatility, wad, for a strike at a forward (both wad). Linear in T between expiries,
    ///         reverts beyond the last; never older than the heartbeat without the state saying so.
    function volatility(uint64 expiry, uint256 strike, uint256 forward) external view returns (uint256 vol);

    function state(uint64 expiry) external view returns (State);

    /// @notice When what `expiry` is read from last changed: the newest submission of the slices around it, unix seconds.
    function storedAt(uint64 expiry) external view returns (uint256);

    /// @notice Expiries with a slice that have not passed, ascending.
    function expiries() external view returns (uint64[] memory);

    function heartbeat() external view returns (uint256 seconds_);
}
