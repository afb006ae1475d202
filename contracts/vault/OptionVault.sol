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
import {IOptionVault} from "../interfaces/IVault.sol";
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
///      know it yet. Anyone may settle either.
abstract contract OptionVault is IOptionVault, ERC4626, AccessControl {
    using FixedPointMathLib for uint256;

    /// @dev Wad per unit of the 6-decimal asset, and the number of virtual shares against one virtual unit of asset.
    uint256 internal constant UNIT = 1e12;
    uint256 public constant MAX_VENUES = 4;
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
    address[] private _venues;
    string private _name;
    string private _symbol;

    event MandateSet(address mandate);

    event PerformanceFeeSet(address recipient, uint256 fee, uint256 highWaterMark);
    event PerformanceFeeTaken(address indexed recipient, uint256 shares, uint256 highWaterMark);

    error TooManyVenues(uint256 count, uint256 max);
    error FeeTooHigh(uint256 fee, uint256 max);

    constructor(
        address clearinghouse_,
        address optionMarket_,
        address[] memory venues_,
        string memory name_,
        string memory symbol_,
        address admin
    ) {
        if (venues_.length > MAX_VENUES) revert TooManyVenues(venues_.length, MAX_VENUES);
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
        for (uint256 i; i < _venues.length; ++i) {
            VaultNav.Hedge memory hedge = VaultNav.hedgeAt(IPerpMarket(_venues[i]), address(this), price);
            value += VaultNav.valueOf(hedge);
            reserve += hedge.exitCost;
        }
        return VaultNav.around(value, reserve);
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

    /// @notice What the owner's shares are worth at the low NAV, at most what the clearinghouse lets go now.
    function maxWithdraw(address owner) public view override returns (uint256) {
        if (!_isMarkable(IVolatilityFeed.State.FROZEN)) return 0;
        return previewRedeem(balanceOf(owner)).min(_free());
    }

    /// @notice The owner's shares, at most as many as the clearinghouse can pay for now.
    function maxRedeem(address owner) public view override returns (uint256) {
        if (!_isMarkable(IVolatilityFeed.State.FROZEN)) return 0;
        uint256 shares = balanceOf(owner);
        uint256 free = _free();
        (uint256 low, uint256 supply) = _pricedLow();
        return shares.fullMulDiv(low, supply) <= free ? shares : free.fullMulDiv(supply, low);
    }

    /// @dev High NAV and supply, each with its virtual unit, and the fee that is due counted.
    function _pricedHigh() private view returns (uint256 assets, uint256 supply) {
        VaultNav.Nav memory value = _nav();
        return (_unitsUp(value.high) + 1, supplyAt(value.mid) + UNIT);
    }

    function _pricedLow() private view returns (uint256 assets, uint256 supply) {
        VaultNav.Nav memory value = _nav();
        return (_units(value.low) + 1, supplyAt(value.mid) + UNIT);
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
            IPerpMarket venue = IPerpMarket(_venues[i]);
            IPerpMarket.Order memory order = venue.order(address(this));
            if (order.sizeDelta != 0 && priceTime >= order.committedAt + venue.parameters().settlementDelay) return true;
        }
        return false;
    }

    /// @dev Asset units that may leave the account: unencumbered cash, none while bad debt is open.
    function _free() private view returns (uint256) {
        IClearinghouse house = IClearinghouse(clearinghouse);
        if (house.badDebt() != 0) return 0;
        (uint256 price,) = priceFeed.price();
        (int256 equity, uint256 initial,) = house.margin(address(this), price);
        int256 cash = house.cash(address(this));
        int256 unencumbered = equity - int256(initial);
        return _units(unencumbered < cash ? unencumbered : cash);
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
        _takeFee();
        super._deposit(by, to, assets, shares);
    }

    function _withdraw(address by, address to, address owner, uint256 assets, uint256 shares) internal override {
        _takeFee();
        super._withdraw(by, to, owner, assets, shares);
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
