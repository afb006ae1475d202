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

    /// @notice True where no formula prices the way out of a position (options): an account that holds some here is
    ///         liquidated by auction, whichever engine the deployment uses for the rest. Constant.
    function isAuctioned() external view returns (bool);

    /// @notice True while an order of the account has its price and nobody has settled it, which anyone can: until then the
    ///         account must not choose whether it can fill. Constant where nothing is delayed.
    function isDecided(address account) external view returns (bool);
}

/// @title IMarginModel
interface IMarginModel {
    /// @notice Equity (cash plus product values) and requirements of an account at `price`, wad.
    function margin(address account, uint256 price)
        external
        view
        returns (int256 equity, uint256 initial, uint256 maintenance);

    /// @notice The same equity, and the maintenance margin that `account` would have with `sizeDelta` coins (wad) more in
    ///         `market` and its order there gone, at `price`, wad, rounded up.
    function marginIfFilled(address account, address market, int256 sizeDelta, uint256 price)
        external
        view
        returns (int256 equity, uint256 maintenance);
}

/// @title IClearinghouse
/// @notice Accounts (one per address) with signed USD cash in wad, backed by USDC. Products move cash between accounts;
///         the sum over all accounts never changes except by deposit and withdrawal, so money cannot be made.
///         The liquidity pool, the insurance fund and the option market are accounts like any other.
/// @dev Assumes a USDC without fee on transfer and without rebasing; 6 decimals are converted at this edge only.
interface IClearinghouse {
    /// @notice What a clearinghouse is wired to, once. `liquidityPool` and `auction` may be zero where there is none.
    struct Parts {
        address marginModel;
        address liquidationEngine;
        address auction;
        address liquidityPool;
        address insuranceFund;
        address waterfall;
    }

    event Deposited(address indexed account, address indexed payer, uint256 amount);
    event Withdrawn(address indexed account, address indexed to, uint256 amount);
    event CashMoved(address indexed from, address indexed to, uint256 amount, bytes32 indexed reason);
    event BadDebtRecorded(address indexed account, uint256 amount, uint256 total);
    event BadDebtCovered(address indexed payer, uint256 amount, uint256 total);
    event BadDebtSocialised(uint256 amount, uint256 haircutIndex, uint256 total);

    error NotModule(address caller);
    error Locked();
    error NotLockOwner(address caller);
    error InsufficientMargin(address account, int256 equity, uint256 initial);
    error InsufficientCash(address account, int256 cash, uint256 amount);
    error WithdrawalsBlocked(uint256 badDebt);
    error InsolvencyOpen(uint256 accounts);
    /// @dev Anyone settles that order in `product` first, then what was refused goes through.
    error OrderDecided(address account, address product);
    error ZeroAmount();
    error TooManyProducts(uint256 count);
    error NotWaterfall(address caller);

    /// @notice Credits `account` with `amount` USDC (6 decimals) pulled from the caller. Anyone, for any account.
    function deposit(address account, uint256 amount) external;

    /// @notice Pays `amount` USDC (6 decimals) out of the caller's account. The account must meet initial margin
    ///         afterwards, with longs and unsettled claims counted as its margin model says, and have no order whose price
    ///         is known: anyone settles that first. Closed while `withdrawalsOpen` is false.
    function withdraw(uint256 amount, address to) external;

    /// @notice Moves `amount` (wad) of cash between accounts; the payer may go negative. Modules only. `reason` names the
    ///         flow for the ledger ("premium", "perp pnl", "fee", "keeper reward", ...).
    function move(address from, address to, uint256 amount, bytes32 reason) external;

    /// @notice Takes and releases the one reentrancy lock of this clearinghouse and its products. Modules only.
    function lock() external;
    function unlock() external;
    function locked() external view returns (bool);

    /// @notice Reverts with `InsufficientMargin` unless equity >= initial margin at `price`, and with `OrderDecided` while an
    ///         order of the account has its price and is not settled.
    function requireInitialMargin(address account, uint256 price) external view;

    /// @notice Reverts with `OrderDecided` while an order of the account has its price and is not settled: its margin is
    ///         spoken for.
    function requireUndecided(address account) external view;

    /// @notice Equity and requirements at `price`, wad.
    function margin(address account, uint256 price)
        external
        view
        returns (int256 equity, uint256 initial, uint256 maintenance);

    /// @notice True when equity < maintenance at `price`.
    function isLiquidatable(address account, uint256 price) external view returns (bool);

    /// @notice `IMarginModel.marginIfFilled` of the deployment's model.
    function marginIfFilled(address account, address market, int256 sizeDelta, uint256 price)
        external
        view
        returns (int256 equity, uint256 maintenance);

    // ---------------------------------------------------------------- bad debt

    /// @notice Records that `account` was closed with negative cash: the loss becomes public bad debt. The account's
    ///         cash is set to zero against the clearinghouse's own account, whose negative cash is the debt on record.
    ///         Waterfall only. Returns what was recorded, wad.
    function recordBadDebt(address account) external returns (uint256 amount);

    /// @notice `payer` covers recorded bad debt from its cash, at most what it has. Modules only. Returns what was
    ///         covered, wad. What the liquidity pool is short of is not covered this way: whoever deposits for it, or is
    ///         deleveraged for it, does.
    function coverBadDebt(address payer, uint256 amount) external returns (uint256 covered);

    /// @notice Last resort: takes `amount` (wad) of recorded bad debt from every account with positive cash in proportion,
    ///         through the haircut index; the modules' own accounts are spared. Waterfall only. Returns what was taken:
    ///         at most the debt on record and at most 99% of the cash there is.
    function socialise(uint256 amount) external returns (uint256 taken);

    /// @notice What the venue is short of, wad: bad debt on record that is not covered yet, and the liquidity pool's negative
    ///         equity at the latest price, whatever its cash: what it cannot pay its traders. Nothing can be withdrawn while
    ///         there is any.
    function badDebt() external view returns (uint256);

    /// @notice Whether withdrawals are open: no bad debt, and no account known to be insolvent and still worked off.
    function withdrawalsOpen() external view returns (bool);

    /// @notice Bad debt on record that is not covered yet, wad.
    function recordedBadDebt() external view returns (uint256);

    /// @notice All bad debt ever recorded, and what of it was taken from accounts by the haircut index, wad. Never fall.
    function totalBadDebt() external view returns (uint256 recorded, uint256 socialised);

    /// @notice What is left of a unit of cash that was there from the start, 1e27 until anything is socialised.
    function haircutIndex() external view returns (uint256);

    // ---------------------------------------------------------------- parts

    /// @notice Cash of an account after every haircut, wad; positive amounts rounded down.
    function cash(address account) external view returns (int256);

    /// @notice The engine that liquidates this account as it is now: the auction where it holds anything in an auctioned
    ///         product, else the deployment's engine.
    function engineOf(address account) external view returns (address);

    /// @notice True for the deployment's engine and for the auction.
    function isEngine(address module) external view returns (bool);

    function isModule(address module) external view returns (bool);
    function products() external view returns (IProduct[] memory);
    function marginModel() external view returns (IMarginModel);
    function token() external view returns (address);
    function priceFeed() external view returns (address);
    function insuranceFund() external view returns (address);
    function liquidityPool() external view returns (address);
    function waterfall() external view returns (address);

    /// @notice The engine for accounts without options; may be the auction itself.
    function liquidationEngine() external view returns (address);
    function auction() external view returns (address);
}

/// @title ILiquidationEngine
/// @notice Closes what an account below maintenance margin holds. Engines differ in how much at once and at what price;
///         all settle orders that have their benchmark first, drop the rest, and leave what is unpaid to the waterfall.
interface ILiquidationEngine {
    /// @param sizeClosed signed coins closed, of all markets together, wad
    /// @param price index, wad; each fill is in the market's `PositionClosed`
    event Liquidated(
        address indexed account,
        address indexed liquidator,
        int256 sizeClosed,
        uint256 price,
        uint256 reward,
        uint256 badDebt
    );

    error NotLiquidatable(address account, int256 equity, uint256 maintenance);
    error WrongEngine(address account, address engine);

    /// @notice Liquidates an account below maintenance margin at the feed's price, as far as this engine does it in one
    ///         call. Anyone; the caller's account earns the reward. Never reverts for a liquidatable account of this engine
    ///         with a fresh price: it closes something, starts or moves on an auction, or only says when it can.
    /// @return reward paid to the caller, wad
    /// @return nextAt when another call can do more: 0 when nothing is left to do, else unix seconds (may be now)
    function liquidate(address account) external returns (uint256 reward, uint256 nextAt);

    /// @notice Whether a trader's account owes more at index `price` than all it has is worth, so that bad debt will come of
    ///         it unless the price turns. Asked of the engine that the account belongs to.
    function isInsolvent(address account, uint256 price) external view returns (bool);
}
