// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IClearinghouse, IProduct} from "./IClearinghouse.sol";
import {IVolatilityFeed} from "./IVolatilityFeed.sol";

/// @title IOptionMarket
/// @notice European cash-settled calls and puts on the index, traded against a maker's account at the surface's
///         volatility plus a spread, settled at the average price of the last 30 minutes, fixed once per expiry.
///         A series id packs its terms: expiry << 136 | isCall << 128 | strike (wad).
interface IOptionMarket is IProduct {
    struct Series {
        uint64 expiry; // unix seconds
        uint256 strike; // wad
        bool isCall;
    }

    /// @notice How a maker quotes. Set by the maker for its own account.
    struct Quoting {
        bool active;
        uint256 halfSpread; // volatility points added when selling, taken off when buying, wad
        uint256 vegaSkew; // volatility per USD of net vega sold, wad: quotes rise as the maker sells
        uint256 maxVega; // |net vega| in USD per 1.00 vol beyond which the maker does not add, wad
        uint256 maxShort; // options short, of all series, beyond which the maker does not sell, wad
        uint256 minSpread; // least spread against the taker, fraction of index per unit and per |delta|, wad
        uint256 marginBuffer; // equity / initial margin below which no trade may push the maker, wad, 1 to 10
    }

    /// @notice Value and Greeks of an account's options at mid volatility, wad. Longs positive, shorts negative.
    struct Greeks {
        int256 value; // USD
        int256 delta; // coins
        int256 gamma; // coins per USD
        int256 vega; // USD per 1.00 of volatility
        int256 theta; // USD per year
    }

    /// @notice One position of an account.
    struct Holding {
        uint256 seriesId;
        int256 size; // wad
        uint256 vol; // mid volatility, wad; 0 where only intrinsic value is left
        uint256 forward; // expected settlement price, then the settlement price itself, wad
        uint256 varianceTime; // seconds of diffusion that the settlement average has left; 0 from expiry on
        Greeks unit; // of one unit
    }

    event SeriesListed(uint256 indexed seriesId, uint64 expiry, uint256 strike, bool isCall);
    /// @param premium paid by the taker to the maker when positive, wad
    /// @param mid value of the same size at mid volatility, wad, signed like `premium`
    event Traded(
        address indexed taker, address indexed maker, uint256 indexed seriesId, int256 size, int256 premium, int256 mid, uint256 vol
    );
    event ExpiryFixed(uint64 indexed expiry, uint256 settlementPrice);
    /// @param amount received by the account when positive, wad; what a short and longs are set off for counts on both sides
    event SeriesSettled(address indexed account, uint256 indexed seriesId, int256 size, int256 amount);
    event TakenOver(address indexed from, address indexed to, uint256 fraction);
    /// @notice The insurance fund paid `amount` (wad) for a short of `account`, which goes on owing it.
    event DebtRecorded(address indexed account, uint256 amount);
    event DebtRepaid(address indexed account, uint256 amount);
    event QuotingSet(address indexed maker, Quoting quoting);

    error UnknownSeries(uint256 seriesId);
    error SeriesExpired(uint256 seriesId);
    error TradingClosed(uint256 seriesId);
    error BadSeries(uint64 expiry, uint256 strike);
    error TooManySeries(uint256 count, uint256 max);
    error MakerInactive(address maker);
    error MakerLimit(int256 vega, uint256 max);
    error MakerShortLimit(uint256 short, uint256 max);
    error MakerMargin(int256 equity, uint256 required);
    error BadQuoting(uint256 marginBuffer);
    error SizeTooSmall(uint256 size, uint256 min);
    /// @dev Withdrawals are closed, so a taker's `position` may shrink but not grow or turn.
    error ClosingOnly(int256 position, int256 size);
    error SurfaceJustMoved(uint64 expiry);
    error PriceSilent(uint64 expiry, uint256 updatedAt);
    error ZeroSize();
    error PremiumLimit(int256 premium, int256 limit);
    error NotExpired(uint64 expiry);
    error AlreadyFixed(uint64 expiry);
    error NotFixed(uint64 expiry);
    error ShortsOpen(uint64 expiry, uint256 size);
    error NothingToSettle(address account, uint256 seriesId);
    error SurfaceNotTradable(uint8 state);
    error NotEngine(address caller);
    error BadFraction(uint256 fraction);

    /// @notice Opens a series for trading. Role LISTER.
    function list(uint64 expiry, uint256 strike, bool isCall) external returns (uint256 seriesId);

    /// @notice Sets how the caller's account quotes as a maker.
    function setQuoting(Quoting calldata quoting_) external;

    /// @notice Premium for `size` (wad; positive buys from the maker) and the mid value, both signed like the taker's
    ///         payment, wad. Rounded against the taker, whose spread is the larger of the volatility spread and
    ///         minSpread * index * max(|delta|, 0.1) a unit.
    function quote(address maker, uint256 seriesId, int256 size)
        external
        view
        returns (int256 premium, int256 mid, uint256 vol);

    /// @notice Trades `size` for the caller against `maker`; reverts with `PremiumLimit` when the premium exceeds
    ///         `premiumLimit` (signed: the most to pay, or minus the least to receive). The taker must meet initial
    ///         margin afterwards, and hold nothing or at least 0.01 units. The maker must hold `marginBuffer` times its
    ///         initial margin, unless the trade improves that without costing it equity below initial margin, and its
    ///         maintenance margin in any case. Neither may have an order whose price is known (`OrderDecided`: anyone settles
    ///         that first). While withdrawals are closed takers only close. A premium first repays what its receiver owes the
    ///         insurance fund; a maker that still owes must hold its initial margin. Refused in the block in which the surface
    ///         moved, so that nobody trades on both sides of a report at once, and with `TradingClosed` in the last 14 minutes
    ///         of a series, in which the settlement average has less variance left than the least that a price can count.
    function trade(address maker, uint256 seriesId, int256 size, int256 premiumLimit) external returns (int256 premium);

    /// @notice Fixes the settlement price of an expiry at the 30-minute average before it; once, by anyone, with the
    ///         rounds in force at expiry - 30 min and at expiry. The latter must not be older than the feed's heartbeat
    ///         at expiry; a day later it may.
    function fix(uint64 expiry, uint80 startRound, uint80 endRound) external returns (uint256 settlementPrice);

    /// @notice Settles one account's position of a fixed series. Anyone. A short is first set off against the account's own
    ///         longs of the expiry, as far as needed, each with a `SeriesSettled` of its own, and pays the rest into its
    ///         expiry's pot; a long claims once no short of the expiry is left, scaled by min(1, paid / owed), and repays
    ///         its old debt first.
    /// @return amount what the position settled for, wad, set-off included
    function settle(address account, uint256 seriesId) external returns (int256 amount);

    /// @notice Repays what `account` owes the insurance fund from its cash, as far as the rest of its initial margin does not
    ///         need it. Anyone.
    /// @return repaid wad
    function repay(address account) external returns (uint256 repaid);

    /// @notice Moves `fraction` (wad, at most 1e18) of every position of `from` (at most 64) to `to`, each rounded toward
    ///         zero, where they merge with what it holds. No cash moves and no margin is checked: the engine does both.
    ///         Reverts with `TooManySeries` when `to` would hold more than 64. Engines only, within their own lock.
    function takeOver(address from, address to, uint256 fraction) external;

    function series(uint256 seriesId) external view returns (Series memory);
    function seriesId(uint64 expiry, uint256 strike, bool isCall) external pure returns (uint256);
    function positionOf(address account, uint256 seriesId) external view returns (int256 size);

    /// @notice Series in which the account holds a position; at most 64.
    function seriesOf(address account) external view returns (uint256[] memory);

    /// @notice 0 until fixed, then the price, wad.
    function settlementPrice(uint64 expiry) external view returns (uint256);

    /// @notice What the insurance fund once paid for an account's shorts, wad: its next claims and premiums go to the fund up
    ///         to that, and until then it is part of its initial margin.
    function debtOf(address account) external view returns (uint256);

    /// @notice Mid value and Greeks of one unit of a series at index `price`. The value is that of the average that
    ///         settles the series; intrinsic after expiry, payoff when fixed.
    function unitGreeks(uint256 seriesId, uint256 price) external view returns (Greeks memory greeks, uint256 vol);

    /// @notice Mid value and Greeks of all of an account's options at index `price`.
    function greeksOf(address account, uint256 price) external view returns (Greeks memory);

    /// @notice The same with every mid volatility multiplied by `volScale` (wad).
    function greeksAt(address account, uint256 price, uint256 volScale) external view returns (Greeks memory);

    /// @notice Every position of an account, their sum, and the cost of closing them, valued once for all.
    function book(address account, uint256 price)
        external
        view
        returns (Holding[] memory holdings, Greeks memory total, uint256 closing);

    /// @notice Worst surface state over the account's live series, FRESH when it has none, and whether any of its series
    ///         has expired and waits for settlement.
    function surfaceOf(address account) external view returns (IVolatilityFeed.State worst, bool expired);

    /// @notice Cost of closing all of an account's options at the market's closing spread around mid (vega times spread,
    ///         twice the spread while the surface is not FRESH), wad, rounded up.
    function closingCost(address account, uint256 price) external view returns (uint256);

    function quoting(address maker) external view returns (Quoting memory);

    function clearinghouse() external view returns (IClearinghouse);
    function volatilityFeed() external view returns (IVolatilityFeed);
}
