// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IPerpMarket} from "./IPerpMarket.sol";
import {IHedgeMandate} from "./IVault.sol";

/// @title IVaultLens
/// @notice Everything that a keeper needs to decide, in one call pinned to one block. Nothing is cached; a locked
///         clearinghouse reverts. All amounts wad; fields mean what the same names mean in the markets' interfaces.
interface IVaultLens {
    struct Block {
        uint256 number;
        uint256 timestamp;
        uint256 baseFee;
        bytes32 parentHash;
        uint256 chainId;
    }

    struct Price {
        uint256 price;
        uint256 updatedAt;
        uint256 roundId;
        uint256 heartbeat;
    }

    struct Slice {
        uint64 expiry;
        uint256 theta;
        int256 rhoPsi;
        uint256 psi;
        uint64 reportedAt;
        uint8 state;
    }

    /// @notice One live series of the vault; Greeks are of one unit at mid volatility. It is worth Black-76 at `forward`
    ///         over `varianceTime` seconds.
    struct Holding {
        uint256 seriesId;
        uint64 expiry;
        uint256 strike;
        bool isCall;
        int256 size;
        uint256 vol;
        uint256 forward;
        uint256 varianceTime;
        int256 value;
        int256 delta;
        int256 gamma;
        int256 vega;
        int256 theta;
        uint256 settlementPrice;
    }

    struct Venue {
        address venue;
        IPerpMarket.Parameters parameters;
        IPerpMarket.Position position;
        IPerpMarket.Order pending;
        int256 skew;
        uint256 longOpenInterest;
        uint256 shortOpenInterest;
        int256 fundingRatePerDay;
        int256 unrealisedPnl;
        int256 accruedFunding;
        uint64 lastFillTime;
        uint256 settlementReward;
    }

    struct Account {
        int256 cash;
        int256 equity;
        uint256 initialMargin;
        uint256 maintenanceMargin;
        uint256 badDebt;
    }

    struct Vault {
        int256 navMid;
        int256 navLow;
        int256 navHigh;
        uint256 totalSupply;
        uint256 sharePrice;
        int256 netDelta;
        int256 netGamma;
        uint256 closingCost;
    }

    struct Snapshot {
        Block blockInfo;
        Price price;
        Slice[] slices;
        Holding[] holdings;
        Venue[] venues;
        Account account;
        Vault vault;
        IHedgeMandate.Limits limits;
        uint256 budgetLeft;
    }

    /// @notice The vault as `keeper` sees it now.
    function snapshot(address vault, address keeper) external view returns (Snapshot memory);
}
