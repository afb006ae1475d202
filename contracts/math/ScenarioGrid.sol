// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {FixedPointMathLib} from "solady/utils/FixedPointMathLib.sol";
import {BlackScholes} from "./BlackScholes.sol";
import {Fixed64} from "./Fixed64.sol";

/// @title What a book of options and coins loses when the index and volatility jump
/// @notice Scenarios, with r the range and t the tail of the index move and every vol held to its strike:
///
///     moves -r, -r/2, 0, r/2, r   x   vols  vol (1 - down h), vol, vol (1 + up h)      15, at full weight
///     moves -t, t                 with      vol (1 + up h)                             2, at the tail weight
///
///     h = (30 days / T)^0.3, with T the option's variance time, at least a day
///
/// Vols of near expiries move more than those of far ones: h says how much. An option's forward moves with the index as
/// far as its settlement average is still open. A position's profit in a scenario is its value there less its value now,
/// and coins gain the move. Where the index leaves the range of Black-Scholes an option is worth its intrinsic value.
/// @dev Profits are in 1e36, size times value without rounding, and the grid rounds once, at the end; 1e21 USD fit.
library ScenarioGrid {
    using FixedPointMathLib for uint256;

    uint256 internal constant SCENARIOS = 17;
    uint256 internal constant SPOTS = 7;
    /// @dev Scenarios of the three vols at one of the first five moves follow one another; then come the tails.
    uint256 internal constant RANGE_SPOTS = 5;
    uint256 internal constant VOLS = 3;
    uint256 private constant TAILS = RANGE_SPOTS * (VOLS - 1); // scenario less column of the tails
    uint256 private constant UNMOVED = 7; // the scenario in which nothing happens
    int256 private constant WAD = 1e18;
    uint256 private constant VOL_TENOR = 30 days;
    uint256 private constant LEAST_TENOR = 1 days;
    uint256 private constant TENOR_POWER = 0.3e18;
    /// @dev 30^0.3, rounded up: h of the least tenor.
    uint256 private constant MAX_TENOR_FACTOR = 2.774e18;

    /// @param spotRange r, fraction of the index.
    /// @param spotTail t, fraction of the index.
    /// @param tailWeight Share of a tail's loss that counts.
    /// @param volUp Largest rise of a 30-day vol, fraction of it.
    /// @param volDown Largest fall of a 30-day vol, fraction of it.
    /// @param initialFactor Initial over maintenance loss.
    struct Shocks {
        uint256 spotRange;
        uint256 spotTail;
        uint256 tailWeight;
        uint256 volUp;
        uint256 volDown;
        uint256 initialFactor;
    }

    /// @notice One position as the grid sees it.
    struct Option {
        int256 size; // wad
        uint256 value; // of one unit now, wad
        uint256 forward; // wad
        uint256 strike; // wad
        uint256 time; // variance time, seconds
        uint256 vol; // wad; 0 where the option is worth its intrinsic value
        uint256 open; // d forward / d index, wad
        bool isCall;
    }

    /// @param profit Of each scenario, 1e36.
    /// @param spared What longs cannot lose of `initialFactor` times their loss, because they are worth less; 1e36.
    struct Grid {
        int256[SCENARIOS] profit;
        int256[SCENARIOS] spared;
    }

    error BadShock(bytes32 name, uint256 value);

    /// @notice Refuses shocks that mean nothing: moves of more than everything, a tail inside the range, a vol below zero.
    function validate(Shocks memory s) internal pure {
        if (s.spotRange == 0 || s.spotRange > 0.5e18) revert BadShock("spotRange", s.spotRange);
        if (s.spotTail < s.spotRange || s.spotTail > 0.9e18) revert BadShock("spotTail", s.spotTail);
        if (s.tailWeight > 1e18) revert BadShock("tailWeight", s.tailWeight);
        if (s.volUp > 2e18) revert BadShock("volUp", s.volUp);
        if (s.volDown.mulWadUp(MAX_TENOR_FACTOR) >= 1e18) revert BadShock("volDown", s.volDown);
        if (s.initialFactor < 1e18 || s.initialFactor > 10e18) revert BadShock("initialFactor", s.initialFactor);
    }

    /// @notice Adds an option's profits to the grid.
    /// @dev Sizes are below 2^127 and prices below 2^107, so nothing overflows.
    function add(Grid memory grid, Option memory option, Shocks memory s, uint256 price) internal pure {
        unchecked {
            uint256[VOLS] memory deviations;
            if (option.vol != 0) deviations = _deviations(option, s);
            int256 exposed = int256(price * option.open / 1e18);
            for (uint256 spot; spot < SPOTS; ++spot) {
                uint256 forward = uint256(int256(option.forward) + exposed * move(s, spot) / WAD);
                bool inside = option.vol != 0 && _inDomain(forward, option.strike);
                int256 logRatio = inside ? Fixed64.lnRatio(forward, option.strike) : int256(0);
                (uint256 vol, uint256 scenario) = spot < RANGE_SPOTS ? (0, spot * VOLS) : (VOLS - 1, TAILS + spot);
                for (; vol < VOLS; (++vol, ++scenario)) {
                    if (scenario == UNMOVED) continue;
                    uint256 value = inside
                        ? BlackScholes.callGiven(logRatio, deviations[vol], forward, option.strike)
                        : forward.zeroFloorSub(option.strike);
                    if (!option.isCall) value = value + option.strike - forward;
                    _record(grid, scenario, option, int256(value) - int256(option.value), s.initialFactor);
                }
            }
        }
    }

    function _record(Grid memory grid, uint256 scenario, Option memory option, int256 change, uint256 factor)
        private
        pure
    {
        unchecked {
            _increase(grid.profit, scenario, option.size * change);
            if (option.size <= 0) return;
            int256 excess = -change * int256(factor) / WAD - int256(option.value);
            if (excess > 0) _increase(grid.spared, scenario, option.size * excess);
        }
    }

    /// @dev values[at] += by; `at` is a scenario.
    function _increase(int256[SCENARIOS] memory values, uint256 at, int256 by) private pure {
        assembly ("memory-safe") {
            let place := add(values, shl(5, at))
            mstore(place, add(mload(place), by))
        }
    }

    /// @notice Largest loss of the grid together with `coins` coins, at least 0, wad, rounded up: for maintenance, and
    ///         with every profit and loss times `initialFactor`, but no long losing more than it is worth.
    function worst(Grid memory grid, Shocks memory s, int256 coins, uint256 price)
        internal
        pure
        returns (uint256 maintenance, uint256 initial)
    {
        int256 least;
        int256 leastInitial;
        for (uint256 i; i < SCENARIOS; ++i) {
            int256 profit = grid.profit[i] + coinProfit(s, i, coins, price);
            int256 initialProfit = profit * int256(s.initialFactor) / WAD + grid.spared[i];
            if (i >= RANGE_SPOTS * VOLS) {
                profit = profit * int256(s.tailWeight) / WAD;
                initialProfit = initialProfit * int256(s.tailWeight) / WAD;
            }
            least = FixedPointMathLib.min(least, profit);
            leastInitial = FixedPointMathLib.min(leastInitial, initialProfit);
        }
        maintenance = uint256(-least).divUp(1e18);
        initial = uint256(-leastInitial).divUp(1e18).max(maintenance);
    }

    /// @notice What `coins` coins gain in a scenario, 1e36, rounded down.
    function coinProfit(Shocks memory s, uint256 scenario, int256 coins, uint256 price) internal pure returns (int256) {
        uint256 spot = scenario < RANGE_SPOTS * VOLS ? scenario / VOLS : scenario - RANGE_SPOTS * (VOLS - 1);
        int256 moved = move(s, spot);
        uint256 size = FixedPointMathLib.abs(moved);
        if ((coins > 0) == (moved > 0)) return int256(FixedPointMathLib.abs(coins) * price.mulWad(size));
        return -int256(FixedPointMathLib.abs(coins) * price.mulWadUp(size));
    }

    /// @notice The index move of a column, fraction of it, wad.
    function move(Shocks memory s, uint256 spot) internal pure returns (int256) {
        unchecked {
            if (spot == RANGE_SPOTS) return -int256(s.spotTail);
            if (spot > RANGE_SPOTS) return int256(s.spotTail);
            return int256(s.spotRange) * (int256(spot) - 2) / 2;
        }
    }

    /// @dev vol sqrt(T) of the three vols, each within the range of Black-Scholes.
    function _deviations(Option memory option, Shocks memory s) private pure returns (uint256[VOLS] memory deviations) {
        uint256 factor = tenorFactor(option.time);
        uint256 down = option.vol.mulWad(1e18 - s.volDown.mulWad(factor));
        uint256 up = option.vol.mulWadUp(1e18 + s.volUp.mulWadUp(factor));
        uint256 rootTime = BlackScholes.deviationOf(option.time, 1e18);
        deviations[0] = _clamp(down) * rootTime / 1e18;
        deviations[1] = option.vol * rootTime / 1e18;
        deviations[2] = _clamp(up) * rootTime / 1e18;
    }

    /// @notice h of an option with this variance time, wad: the power as an exponential, inverted where T is short.
    function tenorFactor(uint256 time) internal pure returns (uint256) {
        unchecked {
            int256 logTenor = Fixed64.lnRatio(time.max(LEAST_TENOR), VOL_TENOR);
            uint256 power = Fixed64.expNegative((FixedPointMathLib.abs(logTenor) * TENOR_POWER / 1e18) >> 32);
            return logTenor < 0 ? (1e18 << 64) / power : (power * 1e18) >> 64;
        }
    }

    function _clamp(uint256 vol) private pure returns (uint256) {
        return vol.clamp(BlackScholes.MIN_VOL, BlackScholes.MAX_VOL);
    }

    function _inDomain(uint256 forward, uint256 strike) private pure returns (bool) {
        unchecked {
            return forward >= BlackScholes.MIN_FORWARD && forward <= BlackScholes.MAX_FORWARD
                && forward <= strike * BlackScholes.MAX_RATIO && strike <= forward * BlackScholes.MAX_RATIO;
        }
    }
}
