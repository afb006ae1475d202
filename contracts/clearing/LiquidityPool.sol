// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {ERC4626} from "solady/tokens/ERC4626.sol";
import {FixedPointMathLib} from "solady/utils/FixedPointMathLib.sol";
import {SafeCastLib} from "solady/utils/SafeCastLib.sol";
import {SafeTransferLib} from "solady/utils/SafeTransferLib.sol";

import {IBackstop} from "../interfaces/IBackstop.sol";
import {IClearinghouse} from "../interfaces/IClearinghouse.sol";
import {ILiquidityPool} from "../interfaces/ILiquidityPool.sol";
import {IPerpMarket} from "../interfaces/IPerpMarket.sol";
import {IPriceFeed} from "../interfaces/IPriceFeed.sol";

/// @title LiquidityPool
/// @notice The counterparty of every perpetual trade. Its shares (ERC-4626) are worth its cash less what its markets owe
///         their traders. A share of the open interest's value is its reserve: without it no market opens more, and
///         providers leave only with what lies above it, after a cooldown.
/// @dev Shares are priced at the feed's price: conversions and previews revert while that is too old or while the
///      clearinghouse is locked. The limits never revert, they are zero then; so they are while withdrawals are closed for
///      bad debt or for an insolvent account, which nobody walks away from or buys into.
contract LiquidityPool is ERC4626, IBackstop, ILiquidityPool {
    using FixedPointMathLib for uint256;
    using FixedPointMathLib for int256;
    using SafeCastLib for uint256;
    using SafeTransferLib for address;

    uint256 private constant TOKEN_UNIT = 1e12;

    /// @dev Shares have 18 decimals, which with virtual shares makes inflating them a loss for whoever tries.
    uint8 private constant DECIMALS_OFFSET = 12;
    uint256 private constant VIRTUAL_SHARES = 10 ** DECIMALS_OFFSET;

    /// @notice Seconds between the announcement of an exit and the exit. Longer than any order can wait for its price, so
    ///         nobody leaves before a loss that is known already.
    uint256 public constant COOLDOWN = 3 hours;

    /// @notice Seconds from then on in which the announced shares can be redeemed.
    uint256 public constant EXIT_WINDOW = 1 hours;

    /// @notice A wider band than this would price shares by guesswork, wad.
    uint256 public constant MAX_PRICE_BAND = 0.1e18;

    IClearinghouse public immutable clearinghouse;

    /// @notice Fraction of the open interest's value that must stay in the pool, wad.
    uint256 public immutable lockedRatio;

    /// @notice Fraction that the price may be off by when shares are priced, wad.
    uint256 public immutable priceBand;

    address private immutable _token;
    IPriceFeed private immutable _feed;
    IPerpMarket[] private _markets;
    mapping(address owner => Exit) private _exits;

    constructor(address clearinghouse_, address[] memory markets_, uint256 lockedRatio_, uint256 priceBand_) {
        if (lockedRatio_ > 1e18) revert BadSetting("lockedRatio", lockedRatio_);
        if (priceBand_ > MAX_PRICE_BAND) revert BadSetting("priceBand", priceBand_);
        clearinghouse = IClearinghouse(clearinghouse_);
        lockedRatio = lockedRatio_;
        priceBand = priceBand_;
        _token = IClearinghouse(clearinghouse_).token();
        _feed = IPriceFeed(IClearinghouse(clearinghouse_).priceFeed());
        for (uint256 i = 0; i < markets_.length; ++i) _markets.push(IPerpMarket(markets_[i]));
        _token.safeApprove(clearinghouse_, type(uint256).max);
    }

    // ---------------------------------------------------------------- counterparty

    /// @inheritdoc IBackstop
    /// @dev Pays from equity only: cash that backs traders' open profits is not the pool's to give.
    function cover(uint256 amount, uint256 price) external returns (uint256 covered) {
        if (msg.sender != clearinghouse.waterfall()) revert NotWaterfall(msg.sender);
        int256 own = equity(price);
        if (own <= 0) return 0;
        return clearinghouse.coverBadDebt(address(this), amount.min(uint256(own)));
    }

    /// @inheritdoc ILiquidityPool
    function equity(uint256 price) public view returns (int256 own) {
        own = clearinghouse.cash(address(this));
        for (uint256 i = 0; i < _markets.length; ++i) own -= _markets[i].marketDebt(price);
    }

    /// @inheritdoc ILiquidityPool
    function equityRange(uint256 price) public view returns (int256 low, int256 high) {
        int256 mid = equity(price);
        uint256 width;
        for (uint256 i = 0; i < _markets.length; ++i) {
            width += _markets[i].skew().abs().mulWadUp(price).mulWadUp(priceBand);
        }
        (low, high) = (mid - int256(width), mid + int256(width));
    }

    /// @inheritdoc ILiquidityPool
    function backs(uint256 added, uint256 price) external view returns (bool) {
        return equity(price) >= int256(reserve(price) + added.mulWadUp(price).mulWadUp(lockedRatio));
    }

    /// @inheritdoc ILiquidityPool
    function reserve(uint256 price) public view returns (uint256 locked) {
        for (uint256 i = 0; i < _markets.length; ++i) {
            (uint256 long, uint256 short) = _markets[i].openInterest();
            locked += (long + short).mulWadUp(price).mulWadUp(lockedRatio);
        }
    }

    function markets() external view returns (IPerpMarket[] memory) {
        return _markets;
    }

    // ---------------------------------------------------------------- shares

    function name() public pure override returns (string memory) {
        return "Liquidity Pool";
    }

    function symbol() public pure override returns (string memory) {
        return "LP";
    }

    function asset() public view override returns (address) {
        return _token;
    }

    /// @notice Equity at the feed's price in USDC, rounded down; zero when negative.
    function totalAssets() public view override returns (uint256) {
        return _floorToToken(equity(_price()));
    }

    function previewDeposit(uint256 assets) public view override returns (uint256) {
        return assets.fullMulDiv(totalSupply() + VIRTUAL_SHARES, _high() + 1);
    }

    function previewMint(uint256 shares) public view override returns (uint256) {
        return shares.fullMulDivUp(_high() + 1, totalSupply() + VIRTUAL_SHARES);
    }

    function previewRedeem(uint256 shares) public view override returns (uint256) {
        return _redeemable(shares, _low(_price()));
    }

    function previewWithdraw(uint256 assets) public view override returns (uint256) {
        return assets.fullMulDivUp(totalSupply() + VIRTUAL_SHARES, _low(_price()) + 1);
    }

    /// @notice Unlimited, or nothing while shares have no price: while the feed is too old, the clearinghouse locked,
    ///         withdrawals closed, or the shares there are worthless.
    function maxDeposit(address) public view override returns (uint256) {
        (bool isOpen, uint256 price) = _open();
        if (!isOpen) return 0;
        int256 own = equity(price);
        return own > 0 || (own == 0 && totalSupply() == 0) ? type(uint256).max : 0;
    }

    /// @inheritdoc ERC4626
    function maxMint(address to) public view override returns (uint256) {
        return maxDeposit(to);
    }

    /// @notice What `owner` can take out now: what its announced shares are worth, as far as the reserve and the cash allow;
    ///         nothing outside the window.
    function maxWithdraw(address owner) public view override returns (uint256) {
        (bool isOpen, uint256 price) = _open();
        if (!isOpen) return 0;
        return _redeemable(_leaving(owner), _low(price)).min(_free(price));
    }

    /// @notice The same in shares.
    function maxRedeem(address owner) public view override returns (uint256 shares) {
        (bool isOpen, uint256 price) = _open();
        if (!isOpen) return 0;
        shares = _leaving(owner);
        (uint256 low, uint256 free) = (_low(price), _free(price));
        if (_redeemable(shares, low) > free) shares = free.fullMulDiv(totalSupply() + VIRTUAL_SHARES, low + 1);
    }

    // ---------------------------------------------------------------- exits

    /// @inheritdoc ILiquidityPool
    function requestExit(uint256 shares) external {
        uint256 balance = balanceOf(msg.sender);
        if (shares > balance) revert ExitTooLarge(shares, balance);
        uint256 from = block.timestamp + COOLDOWN;
        uint256 until = from + EXIT_WINDOW;
        _exits[msg.sender] = Exit(shares.toUint128(), uint64(from), uint64(until));
        emit ExitRequested(msg.sender, shares, from, until);
    }

    /// @inheritdoc ILiquidityPool
    function exitOf(address owner) public view returns (Exit memory exit) {
        exit = _exits[owner];
        if (block.timestamp > exit.until || exit.shares == 0) delete exit;
    }

    function _leaving(address owner) private view returns (uint256) {
        Exit memory exit = exitOf(owner);
        return block.timestamp < exit.from ? 0 : exit.shares;
    }

    // ---------------------------------------------------------------- internals

    function _decimalsOffset() internal pure override returns (uint8) {
        return DECIMALS_OFFSET;
    }

    function _underlyingDecimals() internal pure override returns (uint8) {
        return 6;
    }

    /// @dev Shares are priced before the token is called: nothing that they are priced by may change in that call.
    function _deposit(address by, address to, uint256 assets, uint256 shares) internal override {
        clearinghouse.lock();
        _token.safeTransferFrom(by, address(this), assets);
        clearinghouse.unlock();
        _mint(to, shares);
        emit Deposit(by, to, assets, shares);
        clearinghouse.deposit(address(this), assets);
    }

    /// @dev The limits have been checked, so the shares are announced and their window is open. Shares worth nothing may go.
    function _withdraw(address by, address to, address owner, uint256 assets, uint256 shares) internal override {
        if (by != owner) _spendAllowance(owner, by, shares);
        _exits[owner].shares -= uint128(shares);
        _burn(owner, shares);
        emit Withdraw(by, to, owner, assets, shares);
        if (assets > 0) clearinghouse.withdraw(assets, to);
    }

    /// @dev Announced shares are not transferred: who gets them would leave without a cooldown of its own.
    function _beforeTokenTransfer(address from, address to, uint256 amount) internal view override {
        if (from == address(0) || to == address(0)) return;
        Exit memory exit = exitOf(from);
        if (exit.shares > 0 && balanceOf(from) < amount + exit.shares) revert SharesLeaving(from, exit.shares, exit.until);
    }

    function _redeemable(uint256 shares, uint256 low) private view returns (uint256) {
        return shares.fullMulDiv(low + 1, totalSupply() + VIRTUAL_SHARES);
    }

    /// @dev Best equity at the feed's price, USDC, rounded up.
    function _high() private view returns (uint256) {
        (, int256 high) = equityRange(_price());
        return high <= 0 ? 0 : uint256(high).divUp(TOKEN_UNIT);
    }

    /// @dev Worst equity at `price`, USDC, rounded down.
    function _low(uint256 price) private view returns (uint256) {
        (int256 low,) = equityRange(price);
        return _floorToToken(low);
    }

    /// @dev What can leave at `price`: cash, and worst equity above the reserve, USDC, rounded down.
    function _free(uint256 price) private view returns (uint256) {
        (int256 low,) = equityRange(price);
        int256 cash = clearinghouse.cash(address(this));
        return _floorToToken((low - int256(reserve(price))).min(cash));
    }

    function _floorToToken(int256 amount) private pure returns (uint256) {
        return amount <= 0 ? 0 : uint256(amount) / TOKEN_UNIT;
    }

    function _price() private view returns (uint256 price) {
        if (clearinghouse.locked()) revert IClearinghouse.Locked();
        (price,) = _feed.price();
    }

    /// @dev Whether shares have a price at which somebody may come or go, and which.
    function _open() private view returns (bool, uint256) {
        if (clearinghouse.locked() || !clearinghouse.withdrawalsOpen()) return (false, 0);
        try _feed.price() returns (uint256 price, uint256) {
            return (true, price);
        } catch {
            return (false, 0);
        }
    }
}
