// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @title IProduct
/// @notice What a product (perpetual, option) tells the margin model about one account.
interface IProduct {
    /// @notice Margin view of an account at one index price. All wad.
    /// @param price index price, wad; one price context for a whole call
    /// @return value what counts towards equity: marked profit and loss, liabilities negative; rounded down
    /// @return initial initial margin requirement, rounded up
    /// @return maintenance maintenance margin requirement, rounded up; never above `initial`
    function assess(address account, uint256 price)
        external
        view
        returns (int256 value, uint256 initial, uint256 maintenance);

    /// @notice True when the account holds nothing here, whatever it would be worth: no position and no order in flight.
    function isFlat(address account) external view returns (bool);
}

/// @title IMarginModel
interface IMarginModel {
    /// @notice Equity (cash plus product values) and requirements of an account at `price`, wad.
    function margin(address account, uint256 price)
        external
        view
        returns (int256 equity, uint256 initial, uint256 maintenance);
}

/// @title IClearinghouse
/// @notice Accounts (one per address) with signed USD cash in wad, backed by USDC. Products move cash between accounts;
///         the sum over all accounts never changes except by deposit and withdrawal, so money cannot be made.
///         The liquidity pool, the insurance fund and the option market are accounts like any other.
/// @dev Assumes a USDC without fee on transfer and without rebasing; 6 decimals are converted at this edge only.
interface IClearinghouse {
    event Deposited(address indexed account, address indexed payer, uint256 amount);
    event Withdrawn(address indexed account, address indexed to, uint256 amount);
    event CashMoved(address indexed from, address indexed to, uint256 amount, bytes32 indexed reason);
    event BadDebtRecorded(address indexed account, uint256 amount, uint256 total);
    event BadDebtCovered(address indexed payer, uint256 amount, uint256 total);

    error NotModule(address caller);
    error Locked();
    error NotLockOwner(address caller);
    error InsufficientMargin(address account, int256 equity, uint256 initial);
    error InsufficientCash(address account, int256 cash, uint256 amount);
    error WithdrawalsBlocked(uint256 badDebt);
    error ZeroAmount();
    error TooManyProducts(uint256 count);

    /// @notice Credits `account` with `amount` USDC (6 decimals) pulled from the caller. Anyone, for any account.
    function deposit(address account, uint256 amount) external;

    /// @notice Pays `amount` USDC (6 decimals) out of the caller's account. The account must meet initial margin
    ///         afterwards, with longs and unsettled claims counted as its margin model says.
    function withdraw(uint256 amount, address to) external;

    /// @notice Moves `amount` (wad) of cash between accounts; the payer may go negative. Modules only. `reason` names the
    ///         flow for the ledger ("premium", "perp pnl", "fee", "keeper reward", ...).
    function move(address from, address to, uint256 amount, bytes32 reason) external;

    /// @notice Takes and releases the one reentrancy lock of this clearinghouse and its products. Modules only.
    function lock() external;
    function unlock() external;
    function locked() external view returns (bool);

    /// @notice Reverts with `InsufficientMargin` unless equity >= initial margin at `price`.
    function requireInitialMargin(address account, uint256 price) external view;

    /// @notice Equity and requirements at `price`, wad.
    function margin(address account, uint256 price)
        external
        view
        returns (int256 equity, uint256 initial, uint256 maintenance);

    /// @notice True when equity < maintenance at `price`.
    function isLiquidatable(address account, uint256 price) external view returns (bool);

    /// @notice Records that `account` was closed with negative cash: the loss becomes public bad debt. The account's
    ///         cash is set to zero against the clearinghouse's own deficit account. Liquidation engine only.
    function recordBadDebt(address account) external returns (uint256 amount);

    /// @notice `payer` covers recorded bad debt from its cash, at most what it has. Modules only. Returns what was
    ///         covered. What the liquidity pool is short of is not covered this way: whoever deposits for it covers that.
    function coverBadDebt(address payer, uint256 amount) external returns (uint256 covered);

    /// @notice What the venue is short of, wad: bad debt on record that is not covered yet, and the liquidity pool's
    ///         negative cash as far as its equity at the latest price is negative too. Nothing can be withdrawn while there
    ///         is any.
    function badDebt() external view returns (uint256);

    function cash(address account) external view returns (int256);
    function isModule(address module) external view returns (bool);
    function products() external view returns (IProduct[] memory);
    function marginModel() external view returns (IMarginModel);
    function token() external view returns (address);
    function priceFeed() external view returns (address);
    function insuranceFund() external view returns (address);
    function liquidityPool() external view returns (address);
    function liquidationEngine() external view returns (address);
}

/// @title ILiquidationEngine
interface ILiquidationEngine {
    event Liquidated(
        address indexed account,
        address indexed liquidator,
        int256 sizeClosed,
        uint256 price,
        uint256 reward,
        uint256 badDebt
    );

    /// @notice An account's options went to the liquidator together with its cash, less what it keeps.
    /// @param equity the account's cash and options at mid, less the cost of closing them, wad
    /// @param kept the account's cash afterwards, wad
    event HandedOver(address indexed account, address indexed liquidator, int256 equity, uint256 kept);

    error NotLiquidatable(address account, int256 equity, uint256 maintenance);

    /// @notice Liquidates an account below maintenance margin at the feed's price. Anyone; the caller's account earns the
    ///         reward, and takes over options that closing the perpetuals has not made safe, for which it must have the
    ///         margin, and pays at most `maxPaid` (wad) where they are worth more than what comes with them. Where it would
    ///         pay more, or the account holds an expired series that is not settled, the options stay. Never reverts for a
    ///         liquidatable account with a fresh price.
    function liquidate(address account, uint256 maxPaid) external returns (uint256 reward);
}
