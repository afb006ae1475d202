// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @title IWaterfall
/// @notice Who pays what a liquidated account cannot, in this order: the insurance fund up to its cap per event, at once;
///         whoever profits on the other side (auto-deleveraging), no more than the deficit needs; after `adlWindow` seconds
///         the liquidity pool out of its equity; and last everybody with cash, through the clearinghouse's haircut index.
///         Withdrawals stay blocked until nothing is open.
interface IWaterfall {
    event DeficitOpened(uint256 amount, uint256 adlUntil);
    event DeficitClosed();

    /// @param accounts how many hold withdrawals back now
    event InsolvencySeen(address indexed account, uint256 accounts);
    event InsolvencyReleased(address indexed account, uint256 accounts);

    /// @param sizeDelta coins closed at index, wad
    /// @param pnl realised by the account before the haircut, wad
    /// @param haircut taken from that, wad
    event Deleveraged(
        address indexed account,
        address indexed market,
        int256 sizeDelta,
        uint256 price,
        int256 pnl,
        uint256 haircut
    );

    error NotEngine(address caller);
    error TooManyCandidates(uint256 count, uint256 max);
    error NotRanked(address account, uint256 score, uint256 previous);
    error NothingToDeleverage(uint256 deficit, uint256 profitRatio);
    error AdlWindowOpen(uint256 now_, uint256 until);
    error UnknownMarket(address market);
    error BadSetting(bytes32 name, uint256 value);

    /// @notice Records what a liquidated account owes (its negative cash) as bad debt; the insurance fund pays its part at
    ///         once. `closed` is the size of the closing trade, wad: negative where a long was closed, positive where a short
    ///         was, 0 where nothing was. Deleveraging may close who was on the other side. Engines only, within their
    ///         lock; never reverts because money is short.
    /// @return deficit what was recorded, the insured part included, wad
    function absorb(address account, address market, int256 closed, uint256 price) external returns (uint256 deficit);

    /// @notice The same for one part of an account that is liquidated in several, all of them one event: the insurance fund
    ///         pays at most `insurable` of it (wad). Returns what the fund paid, wad. Engines only.
    function absorbPart(address account, address market, int256 closed, uint256 price, uint256 insurable)
        external
        returns (uint256 insured);

    /// @notice Tells whether an account is insolvent and not closed yet: withdrawals wait for it. Engines only, at the end of
    ///         whatever they did to it.
    function observe(address account, bool insolvent) external;

    /// @notice Looks at an account at the feed's price: one that is insolvent is held against withdrawals from now on, one
    ///         that is solvent again, or has been held for a day, is not any more. Anyone.
    function review(address account) external;

    /// @notice Accounts that hold withdrawals back.
    function insolventAccounts() external view returns (uint256);

    /// @notice Whether withdrawals wait for this account.
    function holdsWithdrawals(address account) external view returns (bool);

    /// @notice Closes positions at the index, for the first of these that there is: those against whom bad debt is open, as
    ///         many coins as it takes at the whole of each coin's profit; profitable ones, in the same way, while the pool's
    ///         equity is negative, to bring that to 0 (the first call opens the window); or, while traders' profit is above
    ///         `adlTrigger` of the pool's cash, profitable ones without a haircut until it is at `adlTarget`. At most 16
    ///         candidates, in non-increasing score; who does not qualify is passed over. Anyone. The sum of haircuts
    ///         (`covered`) is min(deficit, the candidates' profit) within 1 wei a candidate.
    function adl(address market, address[] calldata candidates) external returns (uint256 covered, uint256 notional);

    /// @notice Once the window is over: the pool pays from its equity, then the haircut index takes the rest. Anyone.
    function settleDeficit() external returns (uint256 fromPool, uint256 socialised);

    /// @notice Rank of a position for deleveraging: (profit / entry notional) x (notional / account equity), wad; 0 for one
    ///         without profit.
    function score(address market, address account, uint256 price) external view returns (uint256);

    /// @notice When the open deficit may be settled without further deleveraging, unix seconds; 0 when none is open.
    function adlUntil() external view returns (uint256);

    /// @notice Sign of the positions in `market` that most of its open bad debt came from: +1 longs, -1 shorts, 0 none. The
    ///         others may be deleveraged for it.
    function bankruptSide(address market) external view returns (int256);

    /// @notice Traders' profit in all markets over the pool's cash, wad; the largest number when it has none.
    function profitRatio(uint256 price) external view returns (uint256);

    function adlTrigger() external view returns (uint256);
    function adlTarget() external view returns (uint256);
    function adlWindow() external view returns (uint256);
}
