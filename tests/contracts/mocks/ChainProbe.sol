// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @notice A library with code of its own, so that whoever uses it must be linked.
library ProbeLibrary {
    function double(uint256 value) external pure returns (uint256) {
        return 2 * value;
    }
}

/// @notice One of everything that passes between Python and a chain.
contract ChainProbe {
    struct Order {
        uint256 id;
        address owner;
        int256[] sizes;
    }

    error Refused(uint256 value, address caller);

    event Stored(address indexed caller, uint256 value, string note);
    event Noted(string indexed note, Order order);

    uint256 public value;
    uint256 private immutable _start;
    mapping(address caller => uint256 count) public stores;

    constructor(uint256 start) {
        value = start;
        _start = start;
    }

    receive() external payable {}

    /// @notice Refuses 13, underflows at 14, fails a `require` at 15, reverts without data at 16.
    function store(uint256 next) external returns (uint256 previous) {
        if (next == 13) revert Refused(next, msg.sender);
        if (next == 14) next -= 15;
        require(next != 15, "fifteen");
        if (next == 16) assembly ("memory-safe") { revert(0, 0) }
        previous = value;
        value = next;
        stores[msg.sender] += 1;
        emit Stored(msg.sender, next, "kept");
    }

    function note(string calldata text, Order calldata order) external {
        emit Noted(text, order);
    }

    function burn() external {
        while (true) value += 1;
    }

    function echo(Order calldata order) external view returns (Order memory, uint256) {
        return (order, _start);
    }

    function overloaded(uint256 a) external pure returns (uint256) {
        return a;
    }

    function overloaded(int256 a) external pure returns (int256) {
        return -a;
    }

    function block_() external view returns (uint256, uint256, uint256, uint256) {
        return (block.number, block.timestamp, block.basefee, block.chainid);
    }

    function double(uint256 x) external pure returns (uint256) {
        return ProbeLibrary.double(x);
    }
}
