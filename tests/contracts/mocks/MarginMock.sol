// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {FixedPointMathLib} from "solady/utils/FixedPointMathLib.sol";
import {IOptionMarket} from "../../../contracts/interfaces/IOptionMarket.sol";
import {IPriceFeed} from "../../../contracts/interfaces/IPriceFeed.sol";
import {IVolatilityFeed} from "../../../contracts/interfaces/IVolatilityFeed.sol";
import {OptionPricing} from "../../../contracts/options/OptionPricing.sol";
import {SeriesId} from "../../../contracts/options/SeriesId.sol";

/// @notice Clearinghouse, perpetual, option market and both feeds in one, for one account whose book a test sets: values
///         and Greeks are those of the real pricing, each series at a volatility of its own.
contract MarginMock {
    using FixedPointMathLib for uint256;
    using FixedPointMathLib for int256;
    using OptionPricing for OptionPricing.Memo;
    using OptionPricing for IOptionMarket.Greeks;
    using SeriesId for uint256;

    struct Position {
        uint64 expiry;
        uint256 strike;
        bool isCall;
        int256 size;
        uint256 vol;
    }

    uint256 public constant SPREAD = 0.02e18;
    uint256 public constant MIN_MARGIN = 200e18;
    uint256 public constant LIQUIDATION_RATE = 0.0008e18;
    uint256 public constant ORDER_RATE = 0.001e18;

    /// @notice Nobody owes the insurance fund here.
    mapping(address account => uint256) public debtOf;

    int256 private _cash;
    int256 private _size;
    int256 private _pending;
    int256 private _profit;
    uint256 private _average;
    uint256[] private _ids;
    mapping(uint256 id => int256) private _sizeOf;
    mapping(uint64 expiry => mapping(uint256 strike => uint256)) private _volOf;

    function setCash(int256 cash_) external {
        _cash = cash_;
    }

    function setPerp(int256 size, int256 pending, int256 profit) external {
        (_size, _pending, _profit) = (size, pending, profit);
    }

    function setAverage(uint256 average) external {
        _average = average;
    }

    function setOptions(Position[] calldata positions) external {
        delete _ids;
        for (uint256 i; i < positions.length; ++i) {
            Position calldata held = positions[i];
            uint256 id = SeriesId.pack(held.expiry, held.strike, held.isCall);
            _ids.push(id);
            _sizeOf[id] = held.size;
            _volOf[held.expiry][held.strike] = held.vol;
        }
    }

    function cash(address) external view returns (int256) {
        return _cash;
    }

    function netSize(address) external view returns (int256) {
        return _size;
    }

    function pendingSize(address) external view returns (int256) {
        return _pending;
    }

    function accrued(address, uint256) external view returns (int256, int256) {
        return (_profit, 0);
    }

    function liquidationCost(int256 size, uint256 price) external pure returns (uint256) {
        return MIN_MARGIN + size.abs().mulWadUp(price).mulWadUp(LIQUIDATION_RATE);
    }

    function orderCost(int256 sizeDelta, uint256 price) external pure returns (uint256) {
        return sizeDelta.abs().mulWadUp(price).mulWadUp(ORDER_RATE);
    }

    function book(address, uint256 price)
        external
        view
        returns (IOptionMarket.Holding[] memory holdings, IOptionMarket.Greeks memory total, uint256 closing)
    {
        holdings = new IOptionMarket.Holding[](_ids.length);
        OptionPricing.Memo memory memo;
        for (uint256 i; i < holdings.length; ++i) {
            IOptionMarket.Holding memory holding = holdings[i];
            holding.seriesId = _ids[i];
            holding.size = _sizeOf[_ids[i]];
            (holding.unit, holding.vol) =
                memo.unit(IPriceFeed(address(this)), IVolatilityFeed(address(this)), _ids[i], price, 1e18);
            (holding.forward, holding.varianceTime) = (memo.outlook.forward, memo.outlook.time);
            total.add(holding.unit, holding.size);
            if (holding.vol != 0) closing += holding.size.abs().mulWadUp(uint256(holding.unit.vega).mulWadUp(SPREAD));
        }
    }

    function volatility(uint64 expiry, uint256 strike, uint256) external view returns (uint256) {
        return _volOf[expiry][strike];
    }

    function roundAt(uint256) external pure returns (uint80) {
        return 1;
    }

    function twap(uint256, uint256, uint80, uint80) external view returns (uint256) {
        return _average;
    }
}
