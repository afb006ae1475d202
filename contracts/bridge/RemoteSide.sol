// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Clones} from "@openzeppelin/contracts/proxy/Clones.sol";
import {FixedPointMathLib} from "solady/utils/FixedPointMathLib.sol";
import {SafeCastLib} from "solady/utils/SafeCastLib.sol";
import {SafeTransferLib} from "solady/utils/SafeTransferLib.sol";

import {IClearinghouse} from "../interfaces/IClearinghouse.sol";
import {IDelayedBridge} from "../interfaces/IDelayedBridge.sol";
import {IPerpMarket} from "../interfaces/IPerpMarket.sol";
import {IPriceFeed} from "../interfaces/IPriceFeed.sol";
import {Mailbox} from "./Mailbox.sol";
import {RemoteAccount} from "./RemoteAccount.sol";

/// @title RemoteSide
/// @notice What messages do where the venue is: an ordinary clearinghouse and perpetual, in which every home account has a
///         hand of its own. Nothing here looks at the books of the home side.
abstract contract RemoteSide is Mailbox {
    using FixedPointMathLib for uint256;
    using SafeCastLib for uint256;
    using SafeCastLib for int256;
    using SafeTransferLib for address;

    uint256 private constant TOKEN_UNIT = 1e12;

    /// @dev This side's own books of an account.
    struct Desk {
        uint128 received; // USDC of all COLLATERAL that arrived
        uint128 returned; // USDC of all RETURN that left
        uint64 lastOrder; // newest ORDER that arrived
        uint64 newestReport;
    }

    IClearinghouse public immutable clearinghouse;
    IPerpMarket public immutable market;
    address private immutable _blueprint;

    mapping(address account => Desk) private _desks;
    mapping(uint64 id => Report) private _reports;

    constructor(IClearinghouse clearinghouse_, IPerpMarket market_) {
        clearinghouse = clearinghouse_;
        market = market_;
        _blueprint = address(new RemoteAccount(clearinghouse_, market_));
        clearinghouse_.token().safeApprove(address(clearinghouse_), type(uint256).max);
    }

    /// @inheritdoc IDelayedBridge
    function report(address account) external nonReentrant returns (uint64 id) {
        Desk storage desk = _desks[account];
        if (desk.received == 0 && desk.lastOrder == 0) revert NoRemoteAccount(account);
        return _report(account, reportNow(account));
    }

    /// @inheritdoc IDelayedBridge
    /// @dev What a position is worth at a silent price was true when there was one.
    function reportNow(address account) public view returns (Report memory told) {
        if (clearinghouse.locked()) revert IClearinghouse.Locked();
        address hand = remoteAccount(account);
        Desk memory desk = _desks[account];
        IPriceFeed feed = IPriceFeed(clearinghouse.priceFeed());
        (uint256 price, uint256 updatedAt,) = feed.peek();
        (int256 equity,,) = clearinghouse.margin(hand, price);
        told.size = market.netSize(hand).toInt128();
        bool silent = block.timestamp > updatedAt + feed.heartbeat();
        told.time = uint64(silent && told.size != 0 ? updatedAt : block.timestamp);
        told.lastFillTime = market.lastFillTime(hand);
        told.pending = market.pendingSize(hand).toInt128();
        told.equity = equity.toInt128();
        (told.lastOrder, told.received, told.returned) = (desk.lastOrder, desk.received, desk.returned);
    }

    /// @inheritdoc IDelayedBridge
    function newestReport(address account) external view returns (uint64 id, Report memory) {
        id = _desks[account].newestReport;
        return (id, _reports[id]);
    }

    /// @inheritdoc IDelayedBridge
    function remoteAccount(address account) public view returns (address) {
        return Clones.predictDeterministicAddress(_blueprint, _salt(account));
    }

    /// @notice Does what a message from home asks for. Only the bridge itself, so that a refusal undoes all of it.
    function carryOut(Message calldata sent) external {
        if (msg.sender != address(this)) revert NotBridge(msg.sender);
        if (sent.kind == Kind.COLLATERAL) clearinghouse.deposit(_open(sent.account), sent.amount);
        else if (sent.kind == Kind.ORDER) RemoteAccount(_open(sent.account)).commit(sent.sizeDelta, sent.acceptablePrice);
        else if (sent.kind == Kind.CANCEL) market.cancel(_hand(sent.account));
        else _withdraw(sent.account, sent.amount);
    }

    /// @dev A message from home arrived. Whatever comes of it, a report goes home if one can be made. A failure has to write
    ///      a message home with what the relayer's gas leaves, a 64th; so it cannot be brought about by sending too little.
    function _receive(uint64 id, Message memory sent) internal returns (Status status, bytes memory reason) {
        Desk storage desk = _desks[sent.account];
        if (sent.kind == Kind.COLLATERAL) desk.received += sent.amount;
        if (sent.kind == Kind.ORDER && id > desk.lastOrder) desk.lastOrder = id;
        status = Status.DELIVERED;
        try this.carryOut(sent) {}
        catch (bytes memory refusal) {
            if (refusal.length == 0) revert NoReason(id);
            (status, reason) = (Status.FAILED, refusal);
            if (sent.kind == Kind.COLLATERAL) _sendHome(sent.account, sent.amount);
        }
        try this.reportNow(sent.account) returns (Report memory told) {
            _report(sent.account, told);
        } catch {}
    }

    /// @dev What a report on its way says.
    function _told(uint64 id) internal view returns (Report memory) {
        return _reports[id];
    }

    /// @dev Takes out what is wanted, or as much of it as the venue lets go.
    function _withdraw(address account, uint256 wanted) private {
        address hand = _hand(account);
        uint256 amount = wanted.min(_free(hand));
        if (amount == 0) revert NothingFree(account);
        RemoteAccount(hand).withdraw(amount);
        _sendHome(account, uint128(amount));
    }

    /// @dev USDC (6 decimals) of cash that initial margin does not need, rounded down.
    function _free(address hand) private view returns (uint256) {
        (uint256 price,,) = IPriceFeed(clearinghouse.priceFeed()).peek();
        (int256 equity, uint256 initial,) = clearinghouse.margin(hand, price);
        int256 free = FixedPointMathLib.min(equity - initial.toInt256(), clearinghouse.cash(hand));
        return free > 0 ? uint256(free) / TOKEN_UNIT : 0;
    }

    function _sendHome(address account, uint128 amount) private {
        _desks[account].returned += amount;
        _send(Kind.RETURN, account, amount);
    }

    function _report(address account, Report memory told) private returns (uint64 id) {
        id = _send(Kind.REPORT, account, 0);
        _desks[account].newestReport = id;
        _reports[id] = told;
    }

    /// @dev The account's hand, made when the first message that needs one arrives.
    function _open(address account) private returns (address hand) {
        hand = remoteAccount(account);
        if (hand.code.length == 0) Clones.cloneDeterministic(_blueprint, _salt(account));
    }

    function _hand(address account) private view returns (address hand) {
        hand = remoteAccount(account);
        if (hand.code.length == 0) revert NoRemoteAccount(account);
    }

    function _salt(address account) private pure returns (bytes32) {
        return bytes32(uint256(uint160(account)));
    }
}
