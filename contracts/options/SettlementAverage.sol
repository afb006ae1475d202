// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {BlackScholes} from "../math/BlackScholes.sol";
import {FixedPointMathLib} from "solady/utils/FixedPointMathLib.sol";
import {IPriceFeed} from "../interfaces/IPriceFeed.sol";

/// @title What is known of the price that settles an expiry
/// @notice An expiry settles at the average index price over its last W = 30 minutes. With r seconds left, w = (W - r) / W
///         of that average is history (average so far A) and 1 - w is open:
///
///                    forward             variance time         d forward / d index
///     r >= W         index               r - 2 W / 3           1
///     0 < r < W      w A + (1 - w) index r^3 / (3 W^2)         1 - w
///     r <= 0         A, complete         0                     0
///
///         The variance time is for how long the index would have to diffuse to reach the variance of what is open of the
///         average: with ten minutes left it is 600^3 / (3 1800^2) = 22.2 s. Where the feed begins after the window does,
///         the index stands in for A. The variance time is floored at a minute, which it reaches with 14 minutes left: too
///         much for an option at the money, so the market does not trade from there on.
library SettlementAverage {
    using FixedPointMathLib for uint256;

    uint256 internal constant WINDOW = 30 minutes;

    struct Outlook {
        uint256 forward; // USD, wad
        uint256 time; // variance time, seconds; from a minute up before expiry, then 0
        uint256 open; // d forward / d index, wad
        uint256 decay; // seconds of variance time that pass in a second, wad
    }

    /// @notice The outlook now on the settlement of `expiry`, at index `price`.
    function look(IPriceFeed feed, uint64 expiry, uint256 price) internal view returns (Outlook memory) {
        uint256 left = uint256(expiry).zeroFloorSub(block.timestamp);
        if (left >= WINDOW) return Outlook(price, left - 2 * WINDOW / 3, 1e18, 1e18);
        uint256 known = _average(feed, expiry, price);
        uint256 open = left.divWad(WINDOW);
        uint256 forward = (known * (WINDOW - left) + price * left) / WINDOW;
        uint256 time = left ** 3 / (3 * WINDOW ** 2);
        return Outlook(forward, left == 0 ? 0 : time.max(BlackScholes.MIN_TIME), open, open.mulWad(open));
    }

    /// @dev Average from the window's start until now, at most until expiry.
    function _average(IPriceFeed feed, uint64 expiry, uint256 price) private view returns (uint256) {
        uint256 start = expiry - WINDOW;
        uint256 end = block.timestamp.min(expiry);
        uint80 first = feed.roundAt(start);
        return first == 0 ? price : feed.twap(start, end, first, feed.roundAt(end));
    }
}
