// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @title IOptionVault
/// @notice ERC-4626 shares over one clearinghouse account that holds options and their hedge. Net asset value marks
///         every option at mid volatility, the perp at index with funding, and the order in flight at its expected cost;
///         `navLow` takes off, and `navHigh` adds, the cost of closing the options. Deposits price shares at the high
///         NAV and redemptions at the low one, so that whoever moves pays for what moving costs.
interface IOptionVault {
    event HedgeRequested(address indexed venue, int256 sizeDelta, uint256 acceptablePrice, uint64 orderId);
    event Rolled(uint64 indexed expiry, uint256 strike, uint256 size, int256 premium);

    error NotMandate(address caller);
    error NotRoller(address caller);
    error UnknownVenue(address venue);
    error BudgetExceeded(uint256 premium, uint256 budget);
    error EdgeExceeded(int256 premium, int256 mid, uint256 maxEdge);
    error VaultLocked();
    error VaultMargin(int256 equity, uint256 required);
    error SharesLocked(address owner, uint256 until);
    error DuplicateVenue(address venue);

    /// @notice Net asset value at the feed's price, USD wad: mid, conservative low, conservative high.
    function nav() external view returns (int256 mid, int256 low, int256 high);

    /// @notice Mid NAV per share, wad USD per whole share.
    function sharePrice() external view returns (uint256);

    /// @notice Shares outstanding plus those that a performance fee would mint at a mid NAV (USD wad).
    function supplyAt(int256 mid) external view returns (uint256);

    /// @notice Delta of options, hedge and order in flight together at index `price`, coins, wad, and its option gamma.
    function netDelta(uint256 price) external view returns (int256 delta, int256 gamma);

    /// @notice Sends a hedge to a venue. Only the vault's mandate.
    function executeHedge(address venue, int256 sizeDelta, uint256 acceptablePrice) external returns (uint64 orderId);

    function venues() external view returns (address[] memory);
    function mandate() external view returns (address);
    function clearinghouse() external view returns (address);
    function optionMarket() external view returns (address);
}

/// @title IHedgeMandate
/// @notice What a hedger's key may do and no more. Outside the delta tolerance a hedge must reduce |net delta| counting
///         orders in flight and may not overshoot beyond the tolerance; inside it any trade whose result stays inside is
///         allowed. Bounded in size, slippage, rate and venue; venue margin must stay above a buffer afterwards.
interface IHedgeMandate {
    struct Limits {
        uint256 deltaTolerance; // coins, wad
        uint256 maxOrderSize; // coins, wad
        uint256 minOrderSize; // coins, wad; smaller orders only to flatten, and they cost the budget as much
        uint256 maxSlippage; // acceptable price against index, fraction, wad
        uint256 marginBuffer; // equity / initial margin that must remain, wad, >= 1
        uint256 budgetPerDay; // coins of |hedge| a day, wad, refills linearly
        uint64 cooldown; // seconds at a venue from the last order and from the last fill to the next order; 0 for none
    }

    event Hedged(
        address indexed keeper, address indexed venue, int256 sizeDelta, int256 deltaBefore, int256 deltaAfter, uint256 price
    );
    event LimitsSet(Limits limits);

    error DoesNotReduce(int256 deltaBefore, int256 deltaAfter, uint256 tolerance);
    error OrderInFlight(address venue);
    error SizeExceeded(uint256 size, uint256 max);
    error SizeTooSmall(uint256 size, uint256 min);
    error SlippageExceeded(uint256 acceptablePrice, uint256 price, uint256 maxSlippage);
    error KeeperBudgetExceeded(uint256 size, uint256 left);
    error CoolingDown(uint256 now_, uint256 readyAt);
    error MarginBufferBroken(int256 equity, uint256 required);
    error VenueNotAllowed(address venue);
    error DeadlinePassed(uint256 now_, uint256 deadline);

    /// @notice Hedges the vault by `sizeDelta` coins (wad) at `venue`, no worse than `acceptablePrice`. Role HEDGER.
    function hedge(address venue, int256 sizeDelta, uint256 acceptablePrice, uint64 deadline)
        external
        returns (uint64 orderId);

    function limits() external view returns (Limits memory);

    /// @notice Hedge size still allowed to `keeper` now, coins, wad.
    function budgetLeft(address keeper) external view returns (uint256);

    function vault() external view returns (address);
}
