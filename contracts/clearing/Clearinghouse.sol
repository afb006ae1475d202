// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {FixedPointMathLib} from "solady/utils/FixedPointMathLib.sol";
import {SafeCastLib} from "solady/utils/SafeCastLib.sol";
import {SafeTransferLib} from "solady/utils/SafeTransferLib.sol";

import {IClearinghouse, IMarginModel, IProduct} from "../interfaces/IClearinghouse.sol";
import {ILiquidityPool} from "../interfaces/ILiquidityPool.sol";
import {IPriceFeed} from "../interfaces/IPriceFeed.sol";
import {IWaterfall} from "../interfaces/IWaterfall.sol";
import {CashLedger} from "./CashLedger.sol";

/// @title Clearinghouse
/// @notice Accounts, cash, margin checks and the one lock. Knows nothing of any product's formulas.
/// @dev Whose the cash is stands in the `CashLedger`.
contract Clearinghouse is CashLedger, Ownable {
    using FixedPointMathLib for uint256;
    using SafeCastLib for uint256;
    using SafeTransferLib for address;

    struct Listed {
        IProduct product;
        bool isAuctioned;
    }

    /// @notice Products are asked one by one in every margin check, so their number is bounded.
    uint256 public constant MAX_PRODUCTS = 8;

    /// @dev USDC has 6 decimals, cash has 18.
    uint256 private constant TOKEN_UNIT = 1e12;
    uint8 private constant OWN_NUMBER = type(uint8).max;

    error AlreadySetUp();
    error MissingPart(bytes32 name);
    error ListedTwice(address product);
    error InsufficientCustody(uint256 held, uint256 amount);

    address public immutable token;
    address public immutable priceFeed;

    IMarginModel public marginModel;
    uint8 private _productCount; // in the slot of the model, which asks for it
    address public liquidationEngine;
    address public auction;
    address public liquidityPool;
    address public insuranceFund;
    address public waterfall;

    Listed[MAX_PRODUCTS] private _products;
    mapping(address module => uint8) private _numberOf; // from 1
    uint8 private _moduleCount;

    modifier onlyModule() {
        if (_numberOf[msg.sender] == 0) revert NotModule(msg.sender);
        _;
    }

    modifier onlyWaterfall() {
        if (msg.sender != waterfall) revert NotWaterfall(msg.sender);
        _;
    }

    modifier nonReentrant() {
        _lock(OWN_NUMBER);
        _;
        _books.lockedBy = 0;
    }

    constructor(address token_, address priceFeed_, address admin) Ownable(admin) {
        token = token_;
        priceFeed = priceFeed_;
    }

    /// @notice Wires the clearinghouse to its parts. Once, by the owner; final, so that no module can be slipped in
    ///         later. All parts but the margin model, and the products, become modules. There must be an auction where a
    ///         product is auctioned.
    function setUp(Parts calldata parts, address[] calldata products_) external onlyOwner {
        if (address(marginModel) != address(0)) revert AlreadySetUp();
        if (products_.length > MAX_PRODUCTS) revert TooManyProducts(products_.length);
        marginModel = IMarginModel(_required(parts.marginModel, "marginModel"));
        liquidationEngine = _required(parts.liquidationEngine, "liquidationEngine");
        insuranceFund = _required(parts.insuranceFund, "insuranceFund");
        waterfall = _required(parts.waterfall, "waterfall");
        auction = parts.auction;
        liquidityPool = parts.liquidityPool;
        _productCount = uint8(products_.length);
        for (uint256 i = 0; i < products_.length; ++i) {
            address product = products_[i];
            if (_numberOf[product] != 0) revert ListedTwice(product);
            bool isAuctioned = IProduct(product).isAuctioned();
            if (isAuctioned) _required(parts.auction, "auction");
            _products[i] = Listed(IProduct(product), isAuctioned);
            _admit(product);
        }
        _admit(parts.liquidationEngine);
        _admit(parts.auction);
        _admit(parts.liquidityPool);
        _admit(parts.insuranceFund);
        _admit(parts.waterfall);
    }

    // ---------------------------------------------------------------- cash

    /// @inheritdoc IClearinghouse
    function deposit(address account, uint256 amount) external nonReentrant {
        if (amount == 0) revert ZeroAmount();
        _deposit(account, (amount * TOKEN_UNIT).toInt256());
        emit Deposited(account, msg.sender, amount);
        token.safeTransferFrom(msg.sender, address(this), amount);
    }

    /// @inheritdoc IClearinghouse
    /// @dev An account without positions may leave at any time; one with positions needs a price that is not too old. Cash
    ///      that the pool has lent to traders with open losses is paid out once they have realised them.
    function withdraw(uint256 amount, address to) external nonReentrant {
        if (amount == 0) revert ZeroAmount();
        _requireOpen();
        requireUndecided(msg.sender);
        int256 debit = (amount * TOKEN_UNIT).toInt256();
        int256 available = cash(msg.sender);
        if (available < debit) revert InsufficientCash(msg.sender, available, uint256(debit));
        if (uint256(debit) > _books.held) revert InsufficientCustody(_books.held, uint256(debit));
        int256 left = _deposit(msg.sender, -debit);

        (uint256 price,,) = IPriceFeed(priceFeed).peek();
        (int256 equity, uint256 initial,) = marginModel.margin(msg.sender, price);
        if (initial > 0 || equity != left) IPriceFeed(priceFeed).price(); // reverts when too old
        if (equity < initial.toInt256()) revert InsufficientMargin(msg.sender, equity, initial);

        emit Withdrawn(msg.sender, to, amount);
        token.safeTransfer(to, amount);
    }

    /// @inheritdoc IClearinghouse
    function move(address from, address to, uint256 amount, bytes32 reason) external onlyModule {
        if (amount == 0) return;
        _transfer(from, to, amount);
        emit CashMoved(from, to, amount, reason);
    }

    // ---------------------------------------------------------------- lock

    /// @inheritdoc IClearinghouse
    function lock() external {
        uint8 number = _numberOf[msg.sender];
        if (number == 0) revert NotModule(msg.sender);
        _lock(number);
    }

    /// @inheritdoc IClearinghouse
    function unlock() external {
        uint256 lockedBy = _books.lockedBy;
        if (lockedBy == 0 || lockedBy != _numberOf[msg.sender]) revert NotLockOwner(msg.sender);
        _books.lockedBy = 0;
    }

    /// @inheritdoc IClearinghouse
    function locked() external view returns (bool) {
        return _books.lockedBy != 0;
    }

    // ---------------------------------------------------------------- bad debt

    /// @inheritdoc IClearinghouse
    /// @dev Of the liquidity pool its negative equity: its cash is then what it owes its traders, no more and no less.
    function recordBadDebt(address account) external onlyWaterfall returns (uint256 amount) {
        if (account == address(this)) return 0;
        amount = account == liquidityPool ? _poolDeficit() : _deficit(account);
        if (amount == 0) return 0;
        _totals.recorded += amount.toUint128();
        _transfer(address(this), account, amount);
        emit BadDebtRecorded(account, amount, badDebt());
    }

    /// @inheritdoc IClearinghouse
    function coverBadDebt(address payer, uint256 amount) external onlyModule returns (uint256 covered) {
        int256 available = cash(payer);
        if (available <= 0) return 0;
        covered = amount.min(recordedBadDebt()).min(uint256(available));
        if (covered == 0) return 0;
        _transfer(payer, address(this), covered);
        emit BadDebtCovered(payer, covered, badDebt());
    }

    /// @inheritdoc IClearinghouse
    function socialise(uint256 amount) external onlyWaterfall returns (uint256 taken) {
        taken = _haircut(amount);
        if (taken > 0) emit BadDebtSocialised(taken, _books.haircutIndex, badDebt());
    }

    /// @inheritdoc IClearinghouse
    function badDebt() public view returns (uint256) {
        return recordedBadDebt() + _poolDeficit();
    }

    /// @inheritdoc IClearinghouse
    function withdrawalsOpen() external view returns (bool) {
        return badDebt() == 0 && IWaterfall(waterfall).insolventAccounts() == 0;
    }

    // ---------------------------------------------------------------- margin

    /// @inheritdoc IClearinghouse
    /// @dev Who trades, or bids, after the price of its order is known could use up the margin that the fill needs.
    function requireInitialMargin(address account, uint256 price) external view {
        requireUndecided(account);
        (int256 equity, uint256 initial,) = marginModel.margin(account, price);
        if (equity < initial.toInt256()) revert InsufficientMargin(account, equity, initial);
    }

    /// @inheritdoc IClearinghouse
    function requireUndecided(address account) public view {
        for (uint256 i = 0; i < _productCount; ++i) {
            IProduct product = _products[i].product;
            if (product.isDecided(account)) revert OrderDecided(account, address(product));
        }
    }

    /// @inheritdoc IClearinghouse
    function margin(address account, uint256 price)
        external
        view
        returns (int256 equity, uint256 initial, uint256 maintenance)
    {
        return marginModel.margin(account, price);
    }

    /// @inheritdoc IClearinghouse
    function marginIfFilled(address account, address market, int256 sizeDelta, uint256 price)
        external
        view
        returns (int256 equity, uint256 maintenance)
    {
        return marginModel.marginIfFilled(account, market, sizeDelta, price);
    }

    /// @inheritdoc IClearinghouse
    function isLiquidatable(address account, uint256 price) external view returns (bool) {
        (int256 equity,, uint256 maintenance) = marginModel.margin(account, price);
        return equity < maintenance.toInt256();
    }

    // ---------------------------------------------------------------- parts

    /// @inheritdoc IClearinghouse
    function engineOf(address account) external view returns (address) {
        for (uint256 i = 0; i < _productCount; ++i) {
            Listed memory listed = _products[i];
            if (listed.isAuctioned && !listed.product.isFlat(account)) return auction;
        }
        return liquidationEngine;
    }

    /// @inheritdoc IClearinghouse
    function isEngine(address module) external view returns (bool) {
        return module != address(0) && (module == liquidationEngine || module == auction);
    }

    /// @inheritdoc IClearinghouse
    function isModule(address module) external view returns (bool) {
        return _numberOf[module] != 0;
    }

    /// @inheritdoc IClearinghouse
    function products() external view returns (IProduct[] memory list) {
        list = new IProduct[](_productCount);
        for (uint256 i = 0; i < list.length; ++i) list[i] = _products[i].product;
    }

    // ---------------------------------------------------------------- internals

    /// @dev What the pool cannot pay its traders. Negative cash alone is no deficit: it is lent to those with open losses.
    function _poolDeficit() private view returns (uint256) {
        if (liquidityPool == address(0)) return 0;
        (uint256 price,,) = IPriceFeed(priceFeed).peek();
        return _negative(ILiquidityPool(liquidityPool).equity(price));
    }

    function _requireOpen() private view {
        uint256 debt = badDebt();
        if (debt > 0) revert WithdrawalsBlocked(debt);
        uint256 insolvent = IWaterfall(waterfall).insolventAccounts();
        if (insolvent > 0) revert InsolvencyOpen(insolvent);
    }

    function _lock(uint8 number) private {
        if (_books.lockedBy != 0) revert Locked();
        _books.lockedBy = number;
    }

    /// @dev Makes a part a module, whose cash no haircut reaches.
    function _admit(address module) private {
        if (module == address(0) || _numberOf[module] != 0) return;
        _numberOf[module] = ++_moduleCount;
        _spare(module);
    }

    function _required(address part, bytes32 name) private pure returns (address) {
        if (part == address(0)) revert MissingPart(name);
        return part;
    }
}
