// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IPriceFeed} from "../../../contracts/interfaces/IPriceFeed.sol";
import {SettlementAverage} from "../../../contracts/options/SettlementAverage.sol";

/// @title The library `SettlementAverage` as a contract
contract SettlementAverageHarness {
    function look(IPriceFeed feed, uint64 expiry, uint256 price)
        external
        view
        returns (SettlementAverage.Outlook memory)
    {
        return SettlementAverage.look(feed, expiry, price);
    }
}
