// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @title Up to sixteen expiries, ascending, in two storage slots
/// @notice Each word holds eight times of 32 bits (to the year 2106), the earliest in its lowest bits; empty places hold
///         ones, which is later than every time. Finding a place costs two reads and no loop: all sixteen comparisons
///         happen at once, four to a word, each in a lane of 64 bits whose top bit survives when the time is earlier.
library ExpiryList {
    struct List {
        uint256 first;
        uint256 second;
    }

    error TooManyExpiries(uint256 count);

    uint256 internal constant MAX = 16;
    /// @dev What an empty place reads as, and the first time that does not fit.
    uint256 internal constant NONE = type(uint32).max;

    uint256 private constant LANES = 0x0000000000000001000000000000000100000000000000010000000000000001;
    uint256 private constant GUARDS = LANES << 63;
    uint256 private constant EVEN = LANES * type(uint32).max;

    function clear(List storage list) internal {
        (list.first, list.second) = (type(uint256).max, type(uint256).max);
    }

    /// @notice The list, for one read where no more than eight are listed and two where there are more.
    function load(List storage list) internal view returns (uint256 first, uint256 second) {
        first = list.first;
        second = first >> 224 == NONE ? type(uint256).max : list.second;
    }

    /// @notice How many listed expiries are earlier than `time`, which is in 1 .. NONE.
    function below(uint256 first, uint256 second, uint256 time) internal pure returns (uint256) {
        unchecked {
            uint256 guarded = GUARDS + (time - 1) * LANES;
            uint256 earlier = ((guarded - (first & EVEN)) & GUARDS) >> 63;
            earlier += ((guarded - ((first >> 32) & EVEN)) & GUARDS) >> 63;
            earlier += ((guarded - (second & EVEN)) & GUARDS) >> 63;
            earlier += ((guarded - ((second >> 32) & EVEN)) & GUARDS) >> 63;
            return (earlier * LANES) >> 192; // the top lane of the product is the sum of all lanes
        }
    }

    /// @notice The expiry at a place, NONE where there is none.
    function at(uint256 first, uint256 second, uint256 place) internal pure returns (uint64) {
        if (place >= MAX) return uint64(NONE);
        unchecked {
            return uint32((place < 8 ? first : second) >> ((place & 7) * 32));
        }
    }

    /// @notice All expiries from a place on.
    function from(uint256 first, uint256 second, uint256 place) internal pure returns (uint64[] memory times) {
        times = new uint64[](below(first, second, NONE) - place);
        for (uint256 i = 0; i < times.length; i++) times[i] = at(first, second, place + i);
    }

    /// @notice Puts a new expiry in its place and drops those that have passed; reverts where too many are left.
    function insert(List storage list, uint64 expiry, uint256 now_) internal {
        (uint256 first, uint256 second) = load(list);
        uint64[] memory live = from(first, second, below(first, second, now_ + 1));
        if (live.length == MAX) revert TooManyExpiries(MAX);
        (first, second) = (type(uint256).max, type(uint256).max);
        uint256 left = live.length;
        bool isPlaced = false;
        for (uint256 place = live.length + 1; place > 0; place--) {
            uint64 next = expiry;
            if (!isPlaced && (left == 0 || live[left - 1] < expiry)) isPlaced = true;
            else next = live[--left];
            if (place > 8) second = (second << 32) | next;
            else first = (first << 32) | next;
        }
        (list.first, list.second) = (first, second);
    }
}
