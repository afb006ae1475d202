// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {FixedPointMathLib} from "solady/utils/FixedPointMathLib.sol";
import {ESSVI} from "../math/ESSVI.sol";

/// @title How far a slice may move toward a new one without arbitrage
/// @notice In theta, up = psi + rho psi and down = psi - rho psi the conditions are simple. Free of calendar arbitrage
///         against both neighbours: all three lie between theirs, and psi / theta lies between theirs. Free of
///         butterflies: up and down lie in [0, 4) and the larger of (3 up + down) / 4 and (up + 3 down) / 4 is at most
///         2 sqrt(theta). The rate clamp bounds theta. Each condition is convex, so those that hold at the start of a
///         straight line hold up to one point of it, which has a closed form; `docs/volatility.md` derives it.
library SurfaceBlend {
    /// @dev A slice at one moment, wad.
    struct Shape {
        uint256 theta;
        int256 rhoPsi;
        uint256 psi;
    }

    /// @dev What a slice may be now: a box, and psi / theta between those of two neighbours. Wad.
    struct Room {
        uint256 thetaMin;
        uint256 thetaMax;
        int256 upMin;
        int256 upMax;
        int256 downMin;
        int256 downMax;
        uint256 earlierTheta; // psi / theta may not exceed that of the earlier neighbour; 0 and 1 where there is none
        uint256 earlierPsi;
        uint256 laterTheta; // nor fall below that of the later; 1 and 0 where there is none
        uint256 laterPsi;
    }

    uint256 private constant WAD = 1e18;
    int256 private constant MAX_WING = 4e18 - 1;

    /// @notice The room of a slice without neighbours.
    function open() internal pure returns (Room memory room) {
        (room.thetaMin, room.thetaMax) = (1, ESSVI.MAX_THETA);
        (room.upMax, room.downMax) = (MAX_WING, MAX_WING);
        (room.earlierPsi, room.laterTheta) = (1, 1);
    }

    /// @notice Narrows the room to what lies after a neighbour, which has `time` of `span` seconds left.
    /// @dev The neighbour's value now is a fraction; rounding its bounds inward makes the test exact.
    function setEarlier(Room memory room, uint256 theta, int256 rhoPsi, uint256 psi, uint256 time, uint256 span)
        internal
        pure
    {
        (room.earlierTheta, room.earlierPsi) = (theta, psi);
        unchecked {
            (uint256 up, uint256 down) = (uint256(int256(psi) + rhoPsi), uint256(int256(psi) - rhoPsi));
            room.thetaMin = FixedPointMathLib.max(room.thetaMin, (theta * time + span - 1) / span);
            room.upMin = int256((up * time + span - 1) / span);
            room.downMin = int256((down * time + span - 1) / span);
        }
    }

    /// @notice Narrows the room to what lies before a neighbour, which has `time` of `span` seconds left.
    function setLater(Room memory room, uint256 theta, int256 rhoPsi, uint256 psi, uint256 time, uint256 span)
        internal
        pure
    {
        (room.laterTheta, room.laterPsi) = (theta, psi);
        unchecked {
            (uint256 up, uint256 down) = (uint256(int256(psi) + rhoPsi), uint256(int256(psi) - rhoPsi));
            room.thetaMax = FixedPointMathLib.min(room.thetaMax, theta * time / span);
            room.upMax = int256(up * time / span);
            room.downMax = int256(down * time / span);
        }
    }

    /// @notice Whether a slice keeps every condition, exactly.
    function admits(Room memory room, Shape memory at) internal pure returns (bool) {
        (uint256 theta, int256 rhoPsi, uint256 psi) = (at.theta, at.rhoPsi, at.psi);
        unchecked {
            (int256 up, int256 down) = (int256(psi) + rhoPsi, int256(psi) - rhoPsi);
            if (theta < room.thetaMin || theta > room.thetaMax) return false;
            if (up < room.upMin || up > room.upMax || down < room.downMin || down > room.downMax) return false;
            if (psi * room.earlierTheta > room.earlierPsi * theta) return false;
            if (room.laterPsi * theta > psi * room.laterTheta) return false;
        }
        return ESSVI.isButterflyFree(theta, rhoPsi, psi);
    }

    /// @notice The admissible slice furthest on the way from one to another, and how far that is, wad; (from, 0) where
    ///         nothing further is admissible.
    function find(Room memory room, Shape memory from, Shape memory to)
        internal
        pure
        returns (Shape memory at, uint256 blend)
    {
        if (admits(room, to)) return (to, WAD);
        blend = largest(room, from, to);
        // a hair less than the root, so that rounding to whole wei stays inside; where the room is only wei wide, half
        for (uint256 less = 20; less > 1 && blend > 1; less /= 3) {
            unchecked {
                blend -= (blend >> less) + 1;
            }
            at = mix(from, to, blend);
            if (admits(room, at)) return (at, blend);
        }
        return (from, 0);
    }

    /// @notice The point of a straight line, `blend` of the way (wad), rounded toward its start.
    function mix(Shape memory from, Shape memory to, uint256 blend) internal pure returns (Shape memory) {
        (int256 theta, int256 psi) = (int256(from.theta), int256(from.psi));
        int256 part = int256(blend);
        unchecked {
            return Shape(
                uint256(theta + (int256(to.theta) - theta) * part / 1e18),
                from.rhoPsi + (to.rhoPsi - from.rhoPsi) * part / 1e18,
                uint256(psi + (int256(to.psi) - psi) * part / 1e18)
            );
        }
    }

    /// @notice How far theta, and psi and rho psi together, may be from a median: `tolerance` (wad) of ATM vol, and in the
    ///         wings of vol at one standard deviation, |change| / (2 sqrt(theta)).
    function tolerances(Shape memory median, uint256 tolerance) internal pure returns (uint256 theta, uint256 wings) {
        unchecked {
            theta = 2 * tolerance * median.theta / WAD;
            wings = 2 * tolerance * FixedPointMathLib.sqrt(median.theta * WAD) / WAD;
        }
    }

    /// @notice Whether a slice differs from a median by more than `tolerance`.
    function isOff(Shape memory at, Shape memory median, uint256 tolerance) internal pure returns (bool) {
        unchecked {
            if (FixedPointMathLib.dist(at.theta, median.theta) * WAD > 2 * tolerance * median.theta) return true;
            (, uint256 wings) = tolerances(median, tolerance);
            return FixedPointMathLib.dist(at.psi, median.psi) + FixedPointMathLib.dist(at.rhoPsi, median.rhoPsi) > wings;
        }
    }

    /// @notice The largest blend that keeps every condition, in real numbers, given that the start keeps them.
    /// @dev Nothing overflows in the domain: wings stay below 2^62 and theta below 2^67, so slacks stay below 2^130 and,
    ///      times a wad, below 2^190; `_crossing` says what it squares.
    function largest(Room memory room, Shape memory from, Shape memory to) internal pure returns (uint256 blend) {
        unchecked {
            int256 theta = int256(from.theta);
            int256 change = int256(to.theta) - theta;
            (int256 up, int256 down) = (int256(from.psi) + from.rhoPsi, int256(from.psi) - from.rhoPsi);
            (int256 upTo, int256 downTo) = (int256(to.psi) + to.rhoPsi, int256(to.psi) - to.rhoPsi);
            blend = _within(WAD, theta, theta + change, int256(room.thetaMin), int256(room.thetaMax));
            blend = _within(blend, up, upTo, room.upMin, room.upMax);
            blend = _within(blend, down, downTo, room.downMin, room.downMax);
            blend = _positive(
                blend,
                _slack(room.earlierTheta, room.earlierPsi, from.theta, from.psi),
                _slack(room.earlierTheta, room.earlierPsi, to.theta, to.psi)
            );
            blend = _positive(
                blend,
                _slack(from.theta, from.psi, room.laterTheta, room.laterPsi),
                _slack(to.theta, to.psi, room.laterTheta, room.laterPsi)
            );
            blend = _crossing(blend, (3 * up + down) / 4, (3 * upTo + downTo) / 4, theta, change);
            blend = _crossing(blend, (up + 3 * down) / 4, (upTo + 3 * downTo) / 4, theta, change);
        }
    }

    /// @dev Not negative while psi / theta does not rise from the earlier slice to the later.
    function _slack(uint256 theta, uint256 psi, uint256 thetaLater, uint256 psiLater) private pure returns (int256) {
        unchecked {
            return int256(psi * thetaLater) - int256(psiLater * theta);
        }
    }

    function _within(uint256 blend, int256 from, int256 to, int256 least, int256 most) private pure returns (uint256) {
        unchecked {
            if (to < least) return _positive(blend, from - least, to - least);
            return to > most ? _positive(blend, most - from, most - to) : blend;
        }
    }

    /// @dev How far something linear stays at or above zero.
    function _positive(uint256 blend, int256 from, int256 to) private pure returns (uint256) {
        if (to >= 0) return blend;
        if (from <= 0) return 0;
        unchecked {
            return FixedPointMathLib.min(blend, FixedPointMathLib.rawDiv(uint256(from) * WAD, uint256(from - to)));
        }
    }

    /// @dev How far wing^2 <= 4 theta holds: the positive root of a x^2 + 2 b x - c, where a >= 0 and c >= 0. Wings are
    ///      below 2^62 and 4 theta below 2^69, each times a wad, so b^2 < 2^256 and a c < 2^254, and their sum fits.
    function _crossing(uint256 blend, int256 from, int256 to, int256 theta, int256 change)
        private
        pure
        returns (uint256)
    {
        unchecked {
            int256 unit = int256(WAD);
            if (to * to <= 4 * unit * (theta + change)) return blend;
            int256 c = 4 * unit * theta - from * from;
            if (c <= 0) return 0;
            uint256 a = uint256((to - from) * (to - from));
            int256 b = from * (to - from) - 2 * unit * change;
            uint256 size = FixedPointMathLib.abs(b);
            uint256 root = FixedPointMathLib.sqrt(size * size + a * uint256(c));
            uint256 at = b >= 0 ? uint256(c) * WAD / (size + root) : (size + root) * WAD / a;
            return FixedPointMathLib.min(blend, at);
        }
    }
}
