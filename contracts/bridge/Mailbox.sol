// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {AccessControl} from "@openzeppelin/contracts/access/AccessControl.sol";
import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";

import {IDelayedBridge} from "../interfaces/IDelayedBridge.sol";

/// @title Mailbox
/// @notice Messages between the two sides and their clock: each is delivered or expires, once, and what it says is fixed
///         when it is sent. A relayer chooses the order and the moment, inside the message's own limits, and nothing else.
abstract contract Mailbox is IDelayedBridge, AccessControl, ReentrancyGuard {
    bytes32 public constant RELAYER = keccak256("RELAYER");
    uint64 public constant LONGEST_DELAY = 7 days;
    uint64 public constant LONGEST_LIFETIME = 30 days;

    /// @inheritdoc IDelayedBridge
    uint64 public lastMessage;

    Settings private _settings;
    mapping(uint64 id => Message) private _messages;

    constructor(address admin, Settings memory settings_) {
        _grantRole(DEFAULT_ADMIN_ROLE, admin);
        _configure(settings_);
    }

    /// @notice Changes delay, lifetime and age of what is sent from now on. Admin only.
    function configure(Settings calldata settings_) external onlyRole(DEFAULT_ADMIN_ROLE) {
        _configure(settings_);
    }

    /// @inheritdoc IDelayedBridge
    function deliver(uint64 id) external onlyRole(RELAYER) nonReentrant returns (Status status) {
        Message memory sent = _onItsWay(id);
        if (block.timestamp < sent.notBefore) revert TooEarly(id, block.timestamp, sent.notBefore);
        if (block.timestamp > sent.expiresAt) revert Expired(id, block.timestamp, sent.expiresAt);
        _messages[id].status = Status.DELIVERED;
        bytes memory reason;
        (status, reason) = _arrive(id, sent);
        if (status != Status.DELIVERED) _messages[id].status = status;
        emit MessageDelivered(id, status, reason);
    }

    /// @inheritdoc IDelayedBridge
    function delay(uint64 id, uint64 notBefore) external onlyRole(RELAYER) {
        Message memory sent = _onItsWay(id);
        if (notBefore < sent.notBefore || notBefore > sent.expiresAt) revert BadSetting("notBefore", notBefore);
        _messages[id].notBefore = notBefore;
        emit MessageDelayed(id, notBefore);
    }

    /// @inheritdoc IDelayedBridge
    function expire(uint64 id) external nonReentrant {
        Message memory sent = _onItsWay(id);
        if (block.timestamp <= sent.expiresAt) revert NotExpired(id, block.timestamp, sent.expiresAt);
        _messages[id].status = Status.EXPIRED;
        _takeBack(id, sent);
        emit MessageExpired(id);
    }

    /// @inheritdoc IDelayedBridge
    function message(uint64 id) external view returns (Message memory) {
        return _messages[id];
    }

    /// @inheritdoc IDelayedBridge
    function messages(uint64[] calldata ids) external view returns (Message[] memory found) {
        found = new Message[](ids.length);
        for (uint256 i; i < ids.length; ++i) {
            found[i] = _messages[ids[i]];
        }
    }

    /// @inheritdoc IDelayedBridge
    function settings() external view returns (Settings memory) {
        return _settings;
    }

    /// @inheritdoc IDelayedBridge
    function minDelay() external view returns (uint256) {
        return _settings.minDelay;
    }

    /// @inheritdoc IDelayedBridge
    function maxAge() public view returns (uint256) {
        return _settings.maxAge;
    }

    /// @dev What happens at the other end: DELIVERED, or FAILED with the reason.
    function _arrive(uint64 id, Message memory sent) internal virtual returns (Status, bytes memory reason);

    /// @dev What happens to what an expired message carried.
    function _takeBack(uint64 id, Message memory sent) internal virtual;

    function _send(Kind kind, address account, uint128 amount) internal returns (uint64 id) {
        Message memory sent;
        (sent.kind, sent.account, sent.amount) = (kind, account, amount);
        return _send(sent);
    }

    /// @dev Puts a message on its way; times and status are set here.
    function _send(Message memory sent) internal returns (uint64 id) {
        Settings memory current = _settings;
        sent.status = Status.SENT;
        sent.sentAt = uint64(block.timestamp);
        sent.notBefore = sent.sentAt + current.minDelay;
        sent.expiresAt = sent.sentAt + current.lifetime;
        id = ++lastMessage;
        _messages[id] = sent;
        emit MessageSent(id, sent.kind, sent.account, sent.notBefore, sent.expiresAt);
    }

    function _onItsWay(uint64 id) private view returns (Message memory sent) {
        sent = _messages[id];
        if (sent.status != Status.SENT) revert NotOnItsWay(id, sent.status);
    }

    /// @dev A message must have time to arrive, and a report must still be worth something when it does.
    function _configure(Settings memory next) private {
        if (next.minDelay > LONGEST_DELAY) revert BadSetting("minDelay", next.minDelay);
        bool fits = next.lifetime > next.minDelay && next.lifetime <= LONGEST_LIFETIME;
        if (!fits) revert BadSetting("lifetime", next.lifetime);
        if (next.maxAge <= next.minDelay) revert BadSetting("maxAge", next.maxAge);
        _settings = next;
        emit SettingsSet(next);
    }
}
