// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IHedgeVenue} from "./IPerpMarket.sol";

/// @title IDelayedBridge
/// @notice A venue on another chain is a venue behind a delay: what is sent takes at least `minDelay` seconds each way, is
///         carried by a relayer in any order, and may fail. Each account at home has a hand of its own over there
///         (`RemoteAccount`) that only the bridge moves. The home side knows the other side by its last report only, plus
///         what it has sent itself and not heard of, each counted once.
///
///         Money is counted by totals that only grow, so the order in which messages arrive does not matter:
///
///         valueOf = equity in the report + (sent - received) + (returned - come home) + claimable
///
///         `received` and `returned` are what the other side had taken in and sent off when it wrote the report, `sent` (less
///         what expired) and `come home` what this side has sent off and taken in by now.
interface IDelayedBridge is IHedgeVenue {
    enum Kind {
        COLLATERAL, // home -> remote: USDC for the account's margin
        ORDER, // home -> remote: a perpetual order
        CANCEL, // home -> remote: cancel the order in flight there, where that market allows it
        RECALL, // home -> remote: withdraw USDC and send it home
        RETURN, // remote -> home: USDC coming home, recalled or refunded
        REPORT // remote -> home: position, equity, what has arrived
    }

    enum Status {
        NONE,
        SENT, // on its way
        DELIVERED,
        FAILED, // arrived, refused by the venue; what it carried is on its way home
        EXPIRED // never arrived in time; what it carried waits at home for its account
    }

    struct Message {
        Kind kind;
        Status status;
        address account; // the owner at home
        uint64 notBefore; // earliest delivery, unix seconds
        uint64 sentAt;
        uint64 expiresAt; // not delivered after this
        uint128 amount; // USDC (6 decimals), for money; the most that is wanted, for RECALL
        int128 sizeDelta; // coins, wad, for orders
        uint128 acceptablePrice; // wad
    }

    /// @notice What the other side says of an account, as it was when the report left.
    struct Report {
        uint64 time; // when it was true, unix seconds; a silent price's time where that values a position; 0 before the first
        uint64 lastFillTime;
        uint64 lastOrder; // newest ORDER message that had arrived, filled or refused
        int128 size; // coins, wad
        int128 pending; // coins of an order in flight over there, wad
        int128 equity; // USD at that chain's newest price, wad
        uint128 received; // USDC of all COLLATERAL that had arrived, refused or not
        uint128 returned; // USDC of all RETURN that had left
    }

    struct Settings {
        uint64 minDelay; // seconds, each way
        uint64 lifetime; // seconds from sending to expiry
        uint64 maxAge; // seconds for which a report is worth something
    }

    event MessageSent(uint64 indexed id, Kind indexed kind, address indexed account, uint64 notBefore, uint64 expiresAt);
    /// @param reason why it FAILED: the revert data of the other side
    event MessageDelivered(uint64 indexed id, Status status, bytes reason);
    event MessageDelayed(uint64 indexed id, uint64 notBefore);
    event MessageExpired(uint64 indexed id);
    event Reported(address indexed account, Report report);
    event Claimed(address indexed account, address indexed to, uint256 amount);
    event SettingsSet(Settings settings);

    error TooEarly(uint64 id, uint256 now_, uint256 notBefore);
    error NotOnItsWay(uint64 id, Status status);
    error Expired(uint64 id, uint256 now_, uint256 expiresAt);
    error NotExpired(uint64 id, uint256 now_, uint256 expiresAt);
    error OrderInFlight(address account, uint64 id);
    error NoRemoteAccount(address account);
    error NothingFree(address account);
    error ReportTooOld(address account, uint256 age, uint256 maxAge);
    error BadSetting(bytes32 name, uint256 value);
    error ZeroAmount();
    error NotBridge(address caller);
    error NoReason(uint64 id);

    // ---------------------------------------------------------------- at home: the caller's own account

    /// @notice Sends USDC (6 decimals), pulled from the caller, to its account over there.
    function sendCollateral(uint256 amount) external returns (uint64 id);

    /// @notice Asks for up to `amount` USDC back. What the venue over there does not let go stays there.
    function recall(uint256 amount) external returns (uint64 id);

    /// @notice Asks to cancel the order in flight over there.
    function cancelOrder() external returns (uint64 id);

    /// @notice Pays out the caller's USDC that has come home.
    function claim(address to) external returns (uint256 amount);

    /// @notice USDC (6 decimals) that has come home for an account, or never left, and waits for `claim`.
    function claimable(address account) external view returns (uint256);

    /// @notice The newest report that has arrived.
    function lastReport(address account) external view returns (Report memory);

    /// @notice What the account has over there, on the way and waiting here, as far as is known here, wad USD. Reverts with
    ///         `ReportTooOld` beyond `maxAge`, unless nothing of the account can be over there.
    function valueOf(address account) external view returns (int256);

    // ---------------------------------------------------------------- on the way

    /// @notice Carries a message out once its time has come, at most once. Role RELAYER. What the other side refuses is
    ///         marked FAILED and what it carried is sent home; only a call that ends without a reason, as one that ran out
    ///         of gas does, reverts and can be tried again.
    function deliver(uint64 id) external returns (Status status);

    /// @notice Delays a message that is on its way further, at most until it expires. Role RELAYER.
    function delay(uint64 id, uint64 notBefore) external;

    /// @notice Ends a message that was not delivered before it expired. Anyone; the money it carried, in whichever
    ///         direction, waits at home for its account.
    function expire(uint64 id) external;

    function message(uint64 id) external view returns (Message memory);

    /// @notice Several messages at once.
    function messages(uint64[] calldata ids) external view returns (Message[] memory);

    /// @notice Id of the newest message; ids count from 1.
    function lastMessage() external view returns (uint64);

    function settings() external view returns (Settings memory);
    function minDelay() external view returns (uint256);
    function maxAge() external view returns (uint256);

    // ---------------------------------------------------------------- over there

    /// @notice Starts a report about an account on its way home. Anyone.
    function report(address account) external returns (uint64 id);

    /// @notice What a report would say now; for relayers, which see both sides. Reverts while the clearinghouse over there
    ///         is locked.
    function reportNow(address account) external view returns (Report memory);

    /// @notice The newest report that has left, delivered or not.
    function newestReport(address account) external view returns (uint64 id, Report memory);

    /// @notice The account's hand over there, whether it exists already or not.
    function remoteAccount(address account) external view returns (address);
}
