// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IClearinghouse} from "../interfaces/IClearinghouse.sol";
import {IPerpMarket} from "../interfaces/IPerpMarket.sol";
import {HomeSide} from "./HomeSide.sol";
import {Mailbox} from "./Mailbox.sol";
import {RemoteSide} from "./RemoteSide.sol";

/// @title DelayedBridge
/// @notice Both sides of a bridge on one chain, joined by nothing but messages: `HomeSide` is what an account knows,
///         `RemoteSide` what happens at the venue, `Mailbox` what lies between them.
/// @dev The bridge holds exactly the USDC that is on its way or waits to be claimed; what strangers send it stays outside
///      the books. Both chains are taken to share a clock and a token.
contract DelayedBridge is HomeSide, RemoteSide {
    constructor(IClearinghouse clearinghouse_, IPerpMarket market_, address admin, Settings memory settings_)
        Mailbox(admin, settings_)
        HomeSide(clearinghouse_.token())
        RemoteSide(clearinghouse_, market_)
    {}

    /// @inheritdoc Mailbox
    function _arrive(uint64 id, Message memory sent) internal override returns (Status, bytes memory reason) {
        if (sent.kind == Kind.RETURN) _comeHome(sent.account, sent.amount);
        else if (sent.kind == Kind.REPORT) _hear(id, sent.account, _told(id));
        else return _receive(id, sent);
        return (Status.DELIVERED, reason);
    }
}
