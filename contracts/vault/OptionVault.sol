// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {AccessControl} from "@openzeppelin/contracts/access/AccessControl.sol";
import {ERC4626} from "solady/tokens/ERC4626.sol";
import {FixedPointMathLib} from "solady/utils/FixedPointMathLib.sol";
import {SafeTransferLib} from "solady/utils/SafeTransferLib.sol";
import {IClearinghouse} from "../interfaces/IClearinghouse.sol";
import {IOptionMarket} from "../interfaces/IOptionMarket.sol";
import {IPerpMarket} from "../interfaces/IPerpMarket.sol";
import {IPriceFeed} from "../interfaces/IPriceFeed.sol";
import {IHedgeMandate, IOptionVault} from "../interfaces/IVault.sol";
import {IVolatilityFeed} from "../interfaces/IVolatilityFeed.sol";
import {PerformanceFee} from "./PerformanceFee.sol";
import {VaultNav} from "./VaultNav.sol";

/// @title OptionVault
/// @notice Shares over the vault's own clearinghouse account; the vault contract itself never keeps a token. USDC sent to
///         the contract is outside NAV; USDC deposited into its account by a stranger is a gift to all shares, which the
///         1e12 virtual shares make a loss for whoever hopes to profit from it. Shares have 18 decimals and start at one
///         dollar.
/// @dev Deposits need a live price and a tradable surface. Both ways are closed while a series has expired and is not
///      settled, or an order has its benchmark and is not settled: what they will pay is already decided, and NAV does not
///      know it yet. Anyone may settle either. Redemptions leave the mandate's margin buffer, and an owner its share of
///      what is free; while the surface is STALE or FROZEN they are paid at the worse of what its doubt allows.
///      New shares stay with their depositor, who can only deposit for itself, for `SHARE_LOCK`: NAV follows a price and a
///      surface that are told from time to time, and nobody shall own a share across one update only. What is left after
///      a redemption stays as long, so that an owner cannot take its part of what is free again and again. Deposits and
///      redemptions in epochs, priced after the request, would make the lock unnecessary.
abstract contract OptionVault is IOptionVault, ERC4626, AccessControl {
    using FixedPointMathLib for uint256;

    /// @dev Wad per unit of the 6-decimal asset, and the number of virtual shares against one virtual unit of asset.
    uint256 internal constant UNIT = 1e12;
    uint256 public constant MAX_VENUES = 4;
    /// @notice Seconds for which shares can neither move nor be redeemed after a deposit or a redemption of their owner.
    uint256 public constant SHARE_LOCK = 1 hours;
    uint256 public constant MAX_PERFORMANCE_FEE = 0.5e18;

    address public immutable clearinghouse;
    address public immutable optionMarket;
    IPriceFeed public immutable priceFeed;
    address private immutable _asset;

    address public mandate;
    address public feeRecipient;
    /// @notice Share of gains above the high-water mark that becomes new shares for `feeRecipient`, wad; 0 for none.
    uint256 public performanceFee;
    /// @notice Highest share price after a fee, wad; kept only while there is a fee.
    uint256 public highWaterMark;
    /// @notice When an owner's shares may move again, unix seconds.
    mapping(address owner => uint256) public unlocksAt;
    address[] private _venues;
    string private _name;
    string private _symbol;

    event MandateSet(address mandate);
    event PerformanceFeeSet(address recipient, uint256 fee, uint256 highWaterMark);
    event PerformanceFeeTaken(address indexed recipient, uint256 shares, uint256 highWaterMark);

    error TooManyVenues(uint256 count, uint256 max);
    error FeeTooHigh(uint256 fee, uint256 max);
    error NotDepositor(address by, address to);

    constructor(
        address clearinghouse_,
        address optionMarket_,
        address[] memory venues_,
        string memory name_,
        string memory symbol_,
        address admin
    ) {
        if (venues_.length > MAX_VENUES) revert TooManyVenues(venues_.length, MAX_VENUES);
        for (uint256 i = 1; i < venues_.length; ++i) {
            for (uint256 j; j < i; ++j) {
                if (venues_[i] == venues_[j]) revert DuplicateVenue(venues_[i]);
            }
        }
        clearinghouse = clearinghouse_;
        optionMarket = optionMarket_;
        priceFeed = IPriceFeed(IClearinghouse(clearinghouse_).priceFeed());
        _asset = IClearinghouse(clearinghouse_).token();
        _venues = venues_;
        (_name, _symbol) = (name_, symbol_);
        _grantRole(DEFAULT_ADMIN_ROLE, admin);
        SafeTransferLib.safeApprove(_asset, clearinghouse_, type(uint256).max);
    }

    /// @notice Names the contract that may hedge. Admin only.
    function setMandate(address mandate_) external onlyRole(DEFAULT_ADMIN_ROLE) {
        mandate = mandate_;
        emit MandateSet(mandate_);
    }

    /// @notice Sets the performance fee, after taking what is due under the old one. Gains up to now are never charged at
    ///         the new rate. Admin only.
    function setPerformanceFee(address recipient, uint256 fee) external onlyRole(DEFAULT_ADMIN_ROLE) {
        if (fee > MAX_PERFORMANCE_FEE) revert FeeTooHigh(fee, MAX_PERFORMANCE_FEE);
        _takeFee();
        highWaterMark = highWaterMark.max(VaultNav.sharePrice(_nav().mid, totalSupply()));
        (feeRecipient, performanceFee) = (recipient, fee);
        emit PerformanceFeeSet(recipient, fee, highWaterMark);
    }

    // ---------------------------------------------------------------- value

    /// @inheritdoc IOptionVault
    function nav() external view returns (int256 mid, int256 low, int256 high) {
        VaultNav.Nav memory value = _nav();
        return (value.mid, value.low, value.high);
    }

    /// @inheritdoc IOptionVault
    function sharePrice() external view returns (uint256) {
        int256 mid = _nav().mid;
        return VaultNav.sharePrice(mid, supplyAt(mid));
    }

    /// @inheritdoc IOptionVault
    function supplyAt(int256 mid) public view returns (uint256) {
        (uint256 shares,) = _feeDue(mid);
        return totalSupply() + shares;
    }

    /// @inheritdoc IOptionVault
    function netDelta(uint256 price) external view returns (int256 delta, int256 gamma) {
        _requireUnlocked();
        IOptionMarket.Greeks memory greeks = IOptionMarket(optionMarket).greeksOf(address(this), price);
        (delta, gamma) = (greeks.delta, greeks.gamma);
        for (uint256 i; i < _venues.length; ++i) {
            IPerpMarket venue = IPerpMarket(_venues[i]);
            delta += venue.netSize(address(this)) + venue.pendingSize(address(this));
        }
    }

    function _nav() internal view returns (VaultNav.Nav memory) {
        _requireUnlocked();
        (uint256 price,) = priceFeed.price();
        (, IOptionMarket.Greeks memory options, uint256 reserve) = IOptionMarket(optionMarket).book(address(this), price);
        int256 value = IClearinghouse(clearinghouse).cash(address(this)) + options.value;
        uint256 gain;
        for (uint256 i; i < _venues.length; ++i) {
            VaultNav.Hedge memory hedge = VaultNav.hedgeAt(IPerpMarket(_venues[i]), address(this), price);
            value += VaultNav.valueOf(hedge);
            reserve += hedge.exitCost;
            gain += hedge.exitGain;
        }
        return VaultNav.around(value, reserve, gain);
    }

    function _requireUnlocked() private view {
        if (IClearinghouse(clearinghouse).locked()) revert VaultLocked();
    }

    // ---------------------------------------------------------------- hedging

    /// @inheritdoc IOptionVault
    function executeHedge(address venue, int256 sizeDelta, uint256 acceptablePrice) external returns (uint64 orderId) {
        if (msg.sender != mandate) revert NotMandate(msg.sender);
        if (!_isVenue(venue)) revert UnknownVenue(venue);
        orderId = IPerpMarket(venue).commit(sizeDelta, acceptablePrice);
        emit HedgeRequested(venue, sizeDelta, acceptablePrice, orderId);
    }

    /// @inheritdoc IOptionVault
    function venues() external view returns (address[] memory) {
        return _venues;
    }

    function _isVenue(address venue) private view returns (bool) {
        for (uint256 i; i < _venues.length; ++i) {
            if (_venues[i] == venue) return true;
        }
        return false;
    }

    // ---------------------------------------------------------------- shares

    function name() public view override returns (string memory) {
        return _name;
    }

    function symbol() public view override returns (string memory) {
        return _symbol;
    }

    function asset() public view override returns (address) {
        return _asset;
    }

    /// @notice NAV at mid in USDC; what `convertToShares` and `convertToAssets` use.
    function totalAssets() public view override returns (uint256) {
        return _units(_nav().mid);
    }

    /// @notice Shares for a deposit at the high NAV, rounded down.
    function previewDeposit(uint256 assets) public view override returns (uint256) {
        (uint256 high, uint256 supply) = _pricedHigh();
        return assets.fullMulDiv(supply, high);
    }

    /// @notice Cost of shares at the high NAV, rounded up.
    function previewMint(uint256 shares) public view override returns (uint256) {
        (uint256 high, uint256 supply) = _pricedHigh();
        return shares.fullMulDivUp(high, supply);
    }

    /// @notice Proceeds of shares at the low NAV, rounded down.
    function previewRedeem(uint256 shares) public view override returns (uint256) {
        (uint256 low, uint256 supply) = _pricedLow();
        return shares.fullMulDiv(low, supply);
    }

    /// @notice Shares that a withdrawal burns at the low NAV, rounded up.
    function previewWithdraw(uint256 assets) public view override returns (uint256) {
        (uint256 low, uint256 supply) = _pricedLow();
        return assets.fullMulDivUp(supply, low);
    }

    /// @notice Unlimited, or 0 while NAV cannot be trusted or nothing is left to share.
    function maxDeposit(address) public view override returns (uint256) {
        if (!_isMarkable(IVolatilityFeed.State.DEGRADED)) return 0;
        int256 low = _nav().low;
        return low > 0 || (low == 0 && totalSupply() == 0) ? type(uint256).max : 0;
    }

    function maxMint(address to) public view override returns (uint256) {
        return maxDeposit(to);
    }

    /// @notice What the owner's shares are worth at the low NAV, at most its part of what is free now.
    function maxWithdraw(address owner) public view override returns (uint256) {
        if (!_mayRedeem(owner)) return 0;
        (uint256 low, uint256 supply) = _pricedLow();
        uint256 shares = balanceOf(owner);
        return shares.fullMulDiv(low, supply).min(_part(shares, supply));
    }

    /// @notice The owner's shares, at most as many as its part of what is free pays for.
    function maxRedeem(address owner) public view override returns (uint256) {
        if (!_mayRedeem(owner)) return 0;
        (uint256 low, uint256 supply) = _pricedLow();
        uint256 shares = balanceOf(owner);
        uint256 part = _part(shares, supply);
        return shares.fullMulDiv(low, supply) <= part ? shares : part.fullMulDiv(supply, low);
    }

    function _mayRedeem(address owner) private view returns (bool) {
        return balanceOf(owner) != 0 && block.timestamp >= unlocksAt[owner] && _isMarkable(IVolatilityFeed.State.FROZEN);
    }

    /// @dev What is free, in proportion to shares; `supply` counts the virtual unit.
    function _part(uint256 shares, uint256 supply) private view returns (uint256) {
        return _free().fullMulDiv(shares, supply - UNIT);
    }

    /// @dev High NAV and supply, each with its virtual unit, and the fee that is due counted.
    function _pricedHigh() private view returns (uint256 assets, uint256 supply) {
        VaultNav.Nav memory value = _nav();
        return (_unitsUp(value.high) + 1, supplyAt(value.mid) + UNIT);
    }

    function _pricedLow() private view returns (uint256 assets, uint256 supply) {
        VaultNav.Nav memory value = _nav();
        return (_units(value.low - int256(_doubt())) + 1, supplyAt(value.mid) + UNIT);
    }

    /// @dev By how much the options may be worth less than at the mid of an old surface.
    function _doubt() private view returns (uint256) {
        IOptionMarket market = IOptionMarket(optionMarket);
        (IVolatilityFeed.State state,) = market.surfaceOf(address(this));
        if (state <= IVolatilityFeed.State.DEGRADED) return 0;
        (uint256 price,) = priceFeed.price();
        int256 mid = market.greeksOf(address(this), price).value;
        int256 calm = market.greeksAt(address(this), price, 1e18 - VaultNav.VOL_DOUBT).value;
        int256 wild = market.greeksAt(address(this), price, 1e18 + VaultNav.VOL_DOUBT).value;
        int256 worst = calm < wild ? calm : wild;
        return worst < mid ? uint256(mid - worst) : 0;
    }

    /// @dev Whether NAV is worth acting on: clearinghouse at rest, price within its heartbeat, no series past its
    ///      expiry, no surface worse than `worst`, no order whose fill is decided.
    function _isMarkable(IVolatilityFeed.State worst) private view returns (bool) {
        (, uint256 updatedAt, uint80 round) = priceFeed.peek();
        if (round == 0 || block.timestamp - updatedAt > priceFeed.heartbeat()) return false;
        if (IClearinghouse(clearinghouse).locked()) return false;
        (IVolatilityFeed.State state, bool expired) = IOptionMarket(optionMarket).surfaceOf(address(this));
        return !expired && state <= worst && !_isFillDecided(updatedAt);
    }

    /// @dev Whether an order in flight has its benchmark already, so that whoever looks knows its fill and NAV does not.
    ///      Anyone may settle it.
    function _isFillDecided(uint256 priceTime) private view returns (bool) {
        for (uint256 i; i < _venues.length; ++i) {
            uint256 time = IPerpMarket(_venues[i]).benchmarkTime(address(this));
            if (time != 0 && priceTime >= time) return true;
        }
        return false;
    }

    /// @dev Asset units that may leave the account: cash beyond the margin buffer, none while withdrawals are closed.
    function _free() private view returns (uint256) {
        IClearinghouse house = IClearinghouse(clearinghouse);
        if (!house.withdrawalsOpen()) return 0;
        (uint256 price,) = priceFeed.price();
        (int256 equity, uint256 required) = _buffered(price);
        int256 cash = house.cash(address(this));
        int256 unencumbered = equity - int256(required);
        return _units(unencumbered < cash ? unencumbered : cash);
    }

    /// @dev Equity, and the initial margin times the mandate's buffer.
    function _buffered(uint256 price) internal view returns (int256 equity, uint256 required) {
        (equity, required,) = IClearinghouse(clearinghouse).margin(address(this), price);
        if (mandate != address(0)) required = required.mulWadUp(IHedgeMandate(mandate).limits().marginBuffer);
    }

    function _underlyingDecimals() internal pure override returns (uint8) {
        return 6;
    }

    function _decimalsOffset() internal pure override returns (uint8) {
        return 12;
    }

    // ---------------------------------------------------------------- performance fee

    function _feeDue(int256 mid) private view returns (uint256 shares, uint256 net) {
        if (performanceFee == 0 || totalSupply() == 0) return (0, 0);
        uint256 gross = VaultNav.sharePrice(mid, totalSupply());
        return PerformanceFee.due(gross, highWaterMark, performanceFee, totalSupply() + UNIT);
    }

    /// @dev Before any shares change hands with the vault, so that nobody leaves without paying. An empty vault has no
    ///      past: its mark starts at what the first share will cost.
    function _takeFee() private {
        if (performanceFee == 0) return;
        int256 mid = _nav().mid;
        if (totalSupply() == 0) {
            highWaterMark = VaultNav.sharePrice(mid, 0);
            return;
        }
        (uint256 shares, uint256 net) = _feeDue(mid);
        if (shares == 0) return;
        highWaterMark = net;
        _mint(feeRecipient, shares);
        emit PerformanceFeeTaken(feeRecipient, shares, net);
    }

    function _deposit(address by, address to, uint256 assets, uint256 shares) internal override {
        if (by != to) revert NotDepositor(by, to);
        _takeFee();
        super._deposit(by, to, assets, shares);
        unlocksAt[to] = block.timestamp + SHARE_LOCK;
    }

    function _withdraw(address by, address to, address owner, uint256 assets, uint256 shares) internal override {
        _takeFee();
        super._withdraw(by, to, owner, assets, shares);
        if (balanceOf(owner) != 0) unlocksAt[owner] = block.timestamp + SHARE_LOCK;
    }

    function _beforeTokenTransfer(address from, address, uint256) internal view override {
        if (block.timestamp < unlocksAt[from]) revert SharesLocked(from, unlocksAt[from]);
    }

    function _afterDeposit(uint256 assets, uint256) internal override {
        IClearinghouse(clearinghouse).deposit(address(this), assets);
    }

    function _beforeWithdraw(uint256 assets, uint256) internal override {
        IClearinghouse(clearinghouse).withdraw(assets, address(this));
    }

    function _units(int256 value) private pure returns (uint256) {
        return value > 0 ? uint256(value) / UNIT : 0;
    }

    function _unitsUp(int256 value) private pure returns (uint256) {
        return value > 0 ? uint256(value).divUp(UNIT) : 0;
    }
}
