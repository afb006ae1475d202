// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @title IRealizedVolatility
/// @notice Annualised realised volatility of a price feed's rounds, two ways: an average that forgets with time, and a
///         window of the newest samples. Vols and log returns are wad; a year has 365 days.
interface IRealizedVolatility {
    struct Settings {
        uint32 halfLife; // seconds after which a sample weighs half
        uint32 minGap; // least seconds between samples; rounds that come sooner are merged into the next return
        uint16 window; // samples in the window
        uint64 initialVol; // what the average starts from, wad
        uint64 floorVol; // least vol that a return is judged by, wad
        uint128 maxDeviations; // returns beyond so many standard deviations are jumps, wad
    }

    /// @notice A return beyond the bound; both estimators took the bound, with the return's sign, in its place.
    event JumpObserved(uint80 indexed roundId, int256 logReturn, uint256 bound);
    event VolatilityUpdated(uint80 indexed roundId, uint256 vol, uint256 sampledAt);

    error SettingOutOfRange(bytes32 name, uint256 value);
    error TooFewSamples(uint256 count);

    /// @notice Takes the feed's new rounds, oldest first and at most `MAX_ROUNDS`; where more are left, the next call goes
    ///         on. Anyone, at any time: the result depends on the rounds alone. Returns the next round to take.
    function update() external returns (uint80 nextRound);

    /// @notice The time-weighted average, wad, and the time of its last sample, unix seconds. Before the first sample it
    ///         is `initialVol`, of time 0.
    function volatility() external view returns (uint256 vol, uint256 updatedAt);

    /// @notice Standard deviation of the samples in the window, wad, their number, and the seconds that they span.
    ///         Reverts with `TooFewSamples` on fewer than two.
    function windowVolatility() external view returns (uint256 vol, uint256 count, uint256 span);

    /// @notice When the last jump ended, unix seconds, and how many there were; (0, 0) before the first.
    function lastJump() external view returns (uint256 at, uint256 count);
}
