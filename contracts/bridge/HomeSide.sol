// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {FixedPointMathLib} from "solady/utils/FixedPointMathLib.sol";
import {SafeCastLib} from "solady/utils/SafeCastLib.sol";
import {SafeTransferLib} from "solady/utils/SafeTransferLib.sol";

import {IDelayedBridge} from "../interfaces/IDelayedBridge.sol";
import {IHedgeVenue} from "../interfaces/IPerpMarket.sol";
import {Mailbox} from "./Mailbox.sol";

/// @title HomeSide
/// @notice What an account does and knows at home. Nothing here looks at the other side, or at whether a message that was
///         sent there has arrived: only at what was sent from here, what came home, and the newest report.
abstract contract HomeSide is Mailbox {
    using FixedPointMathLib for uint256;
    using FixedPointMathLib for int256;
    using SafeCastLib for uint256;
    using SafeCastLib for int256;
    using SafeTransferLib for address;

    /// @dev USDC has 6 decimals, values have 18.
    int256 private constant TOKEN_UNIT = 1e12;

    /// @dev Home's own books of an account.
    struct Books {
        uint128 sent; // USDC sent off, less what expired
        uint128 cameHome; // USDC of all RETURN that arrived or expired
        uint128 claimable; // USDC
        int128 orderSize; // of the newest order, coins, wad
        uint64 order; // the newest order's message; 0 when it expired
        uint64 emptySince; // when something was last sent to an account that had nothing over there
        uint64 report; // message of the newest report that arrived
    }

    address public immutable token;

    mapping(address account => Books) private _books;
    mapping(address account => Report) private _heard;

    constructor(address token_) {
        token = token_;
    }

    // ---------------------------------------------------------------- sending

    /// @inheritdoc IDelayedBridge
    function sendCollateral(uint256 amount) external nonReentrant returns (uint64 id) {
        if (amount == 0) revert ZeroAmount();
        Books storage books = _opened(msg.sender);
        books.sent += amount.toUint128();
        id = _send(Kind.COLLATERAL, msg.sender, uint128(amount));
        token.safeTransferFrom(msg.sender, address(this), amount);
    }

    /// @inheritdoc IHedgeVenue
    /// @dev One order at a time: the next may leave once a report says what became of the last. One that adds to the
    ///      position needs a report that is not too old.
    function commit(int256 sizeDelta, uint256 acceptablePrice) external nonReentrant returns (uint64 orderId) {
        if (sizeDelta == 0) revert ZeroAmount();
        Report storage heard = _heard[msg.sender];
        if (_onTheWay(msg.sender) != 0) revert OrderInFlight(msg.sender, _books[msg.sender].order);
        if (heard.pending != 0) revert OrderInFlight(msg.sender, heard.lastOrder);
        int256 size = heard.size;
        if ((size + sizeDelta).abs() > size.abs()) _requireFresh(msg.sender);

        Message memory sent;
        (sent.kind, sent.account) = (Kind.ORDER, msg.sender);
        sent.sizeDelta = sizeDelta.toInt128();
        sent.acceptablePrice = uint128(acceptablePrice.min(type(uint128).max));
        Books storage books = _opened(msg.sender);
        orderId = _send(sent);
        (books.order, books.orderSize) = (orderId, sent.sizeDelta);
    }

    /// @inheritdoc IDelayedBridge
    function cancelOrder() external nonReentrant returns (uint64 id) {
        return _send(Kind.CANCEL, msg.sender, 0);
    }

    /// @inheritdoc IDelayedBridge
    function recall(uint256 amount) external nonReentrant returns (uint64 id) {
        if (amount == 0) revert ZeroAmount();
        return _send(Kind.RECALL, msg.sender, uint128(amount.min(type(uint128).max)));
    }

    /// @inheritdoc IDelayedBridge
    function claim(address to) external nonReentrant returns (uint256 amount) {
        amount = _books[msg.sender].claimable;
        if (amount == 0) revert ZeroAmount();
        _books[msg.sender].claimable = 0;
        emit Claimed(msg.sender, to, amount);
        token.safeTransfer(to, amount);
    }

    // ---------------------------------------------------------------- knowing

    /// @inheritdoc IHedgeVenue
    function netSize(address account) external view returns (int256) {
        return _heard[account].size;
    }

    /// @inheritdoc IHedgeVenue
    /// @dev An order is on its way until a report knows it; from then on it counts as what the report says is pending.
    function pendingSize(address account) external view returns (int256) {
        return _onTheWay(account) + _heard[account].pending;
    }

    /// @inheritdoc IHedgeVenue
    function lastFillTime(address account) external view returns (uint64) {
        return _heard[account].lastFillTime;
    }

    /// @inheritdoc IDelayedBridge
    function valueOf(address account) external view nonReentrantView returns (int256) {
        _requireFresh(account);
        Books memory books = _books[account];
        Report memory heard = _heard[account];
        int256 units = int256(uint256(books.sent)) - int256(uint256(heard.received)) + int256(uint256(heard.returned))
            - int256(uint256(books.cameHome)) + int256(uint256(books.claimable));
        return heard.equity + units * TOKEN_UNIT;
    }

    /// @inheritdoc IDelayedBridge
    function claimable(address account) external view returns (uint256) {
        return _books[account].claimable;
    }

    /// @inheritdoc IDelayedBridge
    function lastReport(address account) external view returns (Report memory) {
        return _heard[account];
    }

    // ---------------------------------------------------------------- hearing

    /// @dev Money arrived from the other side.
    function _comeHome(address account, uint128 amount) internal {
        Books storage books = _books[account];
        books.cameHome += amount;
        books.claimable += amount;
    }

    /// @dev A report arrived. Reports that left before one that is known already say nothing new.
    function _hear(uint64 id, address account, Report memory told) internal {
        Books storage books = _books[account];
        if (id <= books.report) return;
        books.report = id;
        _heard[account] = told;
        emit Reported(account, told);
    }

    /// @inheritdoc Mailbox
    function _takeBack(uint64 id, Message memory sent) internal override {
        Books storage books = _books[sent.account];
        if (sent.kind == Kind.COLLATERAL) {
            books.sent -= sent.amount;
            books.claimable += sent.amount;
        } else if (sent.kind == Kind.RETURN) {
            _comeHome(sent.account, sent.amount);
        } else if (sent.kind == Kind.ORDER && books.order == id) {
            books.order = 0;
        }
    }

    /// @dev Coins of the newest order while no report knows of it.
    function _onTheWay(address account) private view returns (int256) {
        Books storage books = _books[account];
        return books.order > _heard[account].lastOrder ? books.orderSize : int256(0);
    }

    /// @dev The account's books, before something is sent that can change what it has over there.
    function _opened(address account) private returns (Books storage books) {
        books = _books[account];
        if (_isEmpty(account)) books.emptySince = uint64(block.timestamp);
    }

    /// @dev Whether nothing can be over there: nothing was, and nothing has been sent that is not heard of.
    function _isEmpty(address account) private view returns (bool) {
        Report storage heard = _heard[account];
        bool nothingThere = heard.size == 0 && heard.pending == 0 && heard.equity == 0;
        return nothingThere && heard.received == _books[account].sent && _onTheWay(account) == 0;
    }

    function _requireFresh(address account) private view {
        if (_isEmpty(account)) return;
        uint256 age = block.timestamp - FixedPointMathLib.max(_heard[account].time, _books[account].emptySince);
        if (age > maxAge()) revert ReportTooOld(account, age, maxAge());
    }
}
