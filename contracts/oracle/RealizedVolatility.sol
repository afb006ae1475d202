// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {FixedPointMathLib} from "solady/utils/FixedPointMathLib.sol";
import {SafeCastLib} from "solady/utils/SafeCastLib.sol";
import {IPriceFeed} from "../interfaces/IPriceFeed.sol";
import {IRealizedVolatility} from "../interfaces/IRealizedVolatility.sol";

/// @title Realised volatility of a price feed
/// @notice Walks the feed's rounds. A round at least `minGap` after the last sample is the next one, with the log return r
///         over the dt seconds in between. With variance v a year and H the half-life,
///
///             r <- clamp(r, +- z sqrt(max(v, floor^2) dt / YEAR))          z = maxDeviations; a clamped r is a jump
///             v <- w v + (1 - w) r^2 YEAR / dt                             w = 2^(-dt / H)
///             window: vol^2 = (sum r^2 - (sum r)^2 / n) YEAR / sum dt      over the newest n samples
///
///         No clock is read, so neither who calls nor how often changes the result. Prints of a moment move it little:
///         1 - w <= ln(2) dt / H, so in T seconds v grows at most by the factor 2^((z^2 - 1) T / H), however many prints
///         there are. A return of zero is a sample like any other: count and time are kept beside the sums.
/// @dev Variances have 36 decimals, so that their roots are wad. The window's sums are exact integers and never drift.
contract RealizedVolatility is IRealizedVolatility {
    using FixedPointMathLib for uint256;
    using FixedPointMathLib for int256;
    using SafeCastLib for uint256;
    using SafeCastLib for int256;

    struct Average {
        uint160 variance; // a year, 36 decimals
        uint40 sampledAt; // unix seconds; of the round that the next return starts from
        uint32 nextRound; // of the feed
        uint24 jumps;
    }

    struct Window {
        uint96 price; // at `sampledAt`, wad; 0 before the first round
        uint40 jumpedAt; // unix seconds
        uint16 count; // samples in the window
        uint16 head; // where the next sample goes
        uint40 span; // seconds that the samples cover
    }

    struct Sample {
        int128 logReturn; // wad, as taken
        uint40 elapsed; // seconds
    }

    /// @notice Most rounds that one update takes.
    uint256 public constant MAX_ROUNDS = 32;
    uint256 public constant MAX_WINDOW = 4_096;
    /// @notice Both vols are at most this, wad.
    uint256 public constant MAX_VOL = 1_000e18;

    uint256 private constant YEAR = 365 days;
    int256 private constant LN2 = 693147180559945309;

    IPriceFeed public immutable priceFeed;
    uint256 public immutable halfLife;
    uint256 public immutable minGap;
    uint256 public immutable window;
    uint256 public immutable floorVol;
    uint256 public immutable maxDeviations;

    Average private _average;
    Window private _window;
    int256 private _sum; // of the window's returns, wad
    uint256 private _sumOfSquares; // 36 decimals
    mapping(uint256 place => Sample) private _samples;

    /// @param feed Whose rounds are taken, from the newest one on.
    constructor(IPriceFeed feed, Settings memory settings) {
        _check("halfLife", settings.halfLife, 60, 365 days);
        _check("minGap", settings.minGap, 1, settings.halfLife);
        _check("window", settings.window, 2, MAX_WINDOW);
        _check("floorVol", settings.floorVol, 0.001e18, 10e18);
        _check("initialVol", settings.initialVol, settings.floorVol, 18e18);
        _check("maxDeviations", settings.maxDeviations, 1e18, 1e30);
        priceFeed = feed;
        halfLife = settings.halfLife;
        minGap = settings.minGap;
        window = settings.window;
        floorVol = settings.floorVol;
        maxDeviations = settings.maxDeviations;
        (,, uint80 newest) = feed.peek();
        _average.variance = uint160(uint256(settings.initialVol) ** 2);
        _average.nextRound = uint256(newest).max(1).toUint32();
    }

    /// @inheritdoc IRealizedVolatility
    function update() external returns (uint80 nextRound) {
        (,, uint80 newest) = priceFeed.peek();
        Average memory average = _average;
        nextRound = average.nextRound;
        if (nextRound > newest) return nextRound;
        uint256 end = FixedPointMathLib.min(newest, nextRound + MAX_ROUNDS - 1) + 1;
        Window memory recent = _window;
        for (; nextRound < end; ++nextRound) _take(average, recent, nextRound);
        average.nextRound = uint256(nextRound).toUint32();
        _average = average;
        _window = recent;
        emit VolatilityUpdated(nextRound - 1, uint256(average.variance).sqrt(), average.sampledAt);
    }

    /// @inheritdoc IRealizedVolatility
    function volatility() external view returns (uint256 vol, uint256 updatedAt) {
        Average memory average = _average;
        return (uint256(average.variance).sqrt(), _window.count == 0 ? 0 : average.sampledAt);
    }

    /// @inheritdoc IRealizedVolatility
    function windowVolatility() external view returns (uint256 vol, uint256 count, uint256 span) {
        (count, span) = (_window.count, _window.span);
        if (count < 2) revert TooFewSamples(count);
        uint256 total = _sum.abs();
        uint256 centred = _sumOfSquares.zeroFloorSub(total * total / count);
        vol = centred.fullMulDiv(YEAR, span).sqrt().min(MAX_VOL);
    }

    /// @inheritdoc IRealizedVolatility
    function lastJump() external view returns (uint256 at, uint256 count) {
        return (_window.jumpedAt, _average.jumps);
    }

    /// @dev One round: nothing where it is too near to the last sample, else a sample.
    function _take(Average memory average, Window memory recent, uint80 roundId) private {
        (, int256 answer,, uint256 time,) = priceFeed.getRoundData(roundId);
        uint256 price = uint256(answer);
        if (recent.price != 0) {
            uint256 elapsed = time - average.sampledAt;
            if (elapsed < minGap) return;
            int256 raw = _logRatio(price, recent.price);
            int256 taken = _clamped(average, recent, raw, elapsed, time, roundId);
            average.variance = uint160(_forget(average.variance, taken, elapsed));
            _push(recent, Sample(taken.toInt128(), elapsed.toUint40()));
        }
        recent.price = price.toUint96();
        average.sampledAt = time.toUint40();
    }

    /// @dev ln(a / b) of the ratio above one, so that small ratios lose no digits.
    function _logRatio(uint256 a, uint256 b) private pure returns (int256) {
        return a < b ? -_logRatio(b, a) : FixedPointMathLib.lnWad(a.fullMulDiv(1e18, b).toInt256());
    }

    function _clamped(
        Average memory average,
        Window memory recent,
        int256 raw,
        uint256 elapsed,
        uint256 time,
        uint80 roundId
    ) private returns (int256) {
        uint256 variance = uint256(average.variance).max(floorVol * floorVol);
        uint256 bound = (variance * elapsed / YEAR).sqrt().fullMulDiv(maxDeviations, 1e18);
        if (raw.abs() <= bound) return raw;
        average.jumps = (uint256(average.jumps) + 1).min(type(uint24).max).toUint24();
        recent.jumpedAt = time.toUint40();
        emit JumpObserved(roundId, raw, bound);
        return raw < 0 ? -int256(bound) : int256(bound);
    }

    /// @dev Nothing in it can overflow: |r| <= ln(2^96 / 1) < 67, and both terms are capped.
    function _forget(uint256 variance, int256 logReturn, uint256 elapsed) private view returns (uint256) {
        uint256 weight = uint256(FixedPointMathLib.expWad(-LN2 * int256(elapsed) / int256(halfLife)));
        uint256 square = logReturn.abs() ** 2;
        uint256 next = (weight * variance + (1e18 - weight) * (square * YEAR / elapsed)) / 1e18;
        return next.min(MAX_VOL * MAX_VOL);
    }

    /// @dev Puts a sample where the oldest one was, once the window is full.
    function _push(Window memory recent, Sample memory sample) private {
        int256 sum = _sum + sample.logReturn;
        uint256 squares = _sumOfSquares + int256(sample.logReturn).abs() ** 2;
        if (recent.count == window) {
            Sample memory oldest = _samples[recent.head];
            sum -= oldest.logReturn;
            squares -= int256(oldest.logReturn).abs() ** 2;
            recent.span -= oldest.elapsed;
        } else {
            recent.count++;
        }
        recent.span += sample.elapsed;
        _samples[recent.head] = sample;
        recent.head = uint16((recent.head + 1) % window);
        (_sum, _sumOfSquares) = (sum, squares);
    }

    function _check(bytes32 name, uint256 value, uint256 least, uint256 most) private pure {
        if (value < least || value > most) revert SettingOutOfRange(name, value);
    }
}
