// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {SafeCastLib} from "solady/utils/SafeCastLib.sol";

/// @title RollingWindow
/// @notice Exact sum of everything added in the last `length` seconds, that is at times in (now - length, now]; no buckets.
///
///         sum(t) = total up to t - total up to (t - length)
///
///         Kept is the running total at the end of every second in which something was added: the newest in the head, those
///         before it in a ring. At most `length` seconds lie inside a window, so head and a ring of `length` always also
///         hold the total before it. That point, and the time at which a sum has fallen far enough, are found by
///         bisection, in at most seven reads for a minute.
/// @dev Nothing is ever evicted, so no call pays for those before it. `length` must be the same in every call for one
///      window.
library RollingWindow {
    using SafeCastLib for uint256;

    /// @param time unix seconds, 0 before anything was added
    /// @param count points in the ring, ever; point i lies in slot i mod length
    /// @param total everything added up to and including that second
    struct Head {
        uint64 time;
        uint64 count;
        uint128 total;
    }

    struct Point {
        uint64 time;
        uint128 total;
    }

    struct Window {
        Head head;
        mapping(uint256 slot => Point) ring;
    }

    /// @notice Adds `amount` in the present second.
    function add(Window storage self, uint256 length, uint256 amount) internal {
        Head memory head = self.head;
        if (head.time != 0 && head.time != block.timestamp) {
            self.ring[head.count % length] = Point(head.time, head.total);
            ++head.count;
        }
        head.time = uint64(block.timestamp);
        head.total = (head.total + amount).toUint128();
        self.head = head;
    }

    /// @notice What was added in the last `length` seconds.
    function sum(Window storage self, uint256 length) internal view returns (uint256) {
        Head memory head = self.head;
        if (head.time + length <= block.timestamp) return 0;
        (uint256 low, uint256 high) = (_oldest(head.count, length), head.count);
        uint256 before;
        while (low < high) {
            uint256 middle = (low + high) / 2;
            Point memory point = self.ring[middle % length];
            if (point.time + length > block.timestamp) high = middle;
            else (before, low) = (point.total, middle + 1);
        }
        return head.total - before;
    }

    /// @notice The earliest time from now on at which the sum is at most `limit` if nothing more is added, unix seconds.
    function fallsTo(Window storage self, uint256 length, uint256 limit) internal view returns (uint256 time) {
        Head memory head = self.head;
        if (head.total <= limit) return block.timestamp;
        uint256 gone = head.total - limit; // total that must lie outside the window
        (uint256 low, uint256 high) = (_oldest(head.count, length), head.count);
        time = head.time;
        while (low < high) {
            uint256 middle = (low + high) / 2;
            Point memory point = self.ring[middle % length];
            if (point.total >= gone) (time, high) = (point.time, middle);
            else low = middle + 1;
        }
        time += length;
        if (time < block.timestamp) time = block.timestamp;
    }

    /// @dev Index of the oldest point that the ring still holds.
    function _oldest(uint256 count, uint256 length) private pure returns (uint256) {
        return count > length ? count - length : 0;
    }
}
