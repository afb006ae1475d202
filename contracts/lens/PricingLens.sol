// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {BlackScholes} from "../math/BlackScholes.sol";
import {ImpliedVol} from "../math/ImpliedVol.sol";

/// @title PricingLens
/// @notice The protocol's option prices for whoever asks: `keeper price` puts them beside its own. Stateless.
contract PricingLens {
    /// @notice Call and put with all their Greeks; units and domain as in `BlackScholes.evaluate`.
    function evaluate(uint256 forward, uint256 strike, uint256 timeSeconds, uint256 vol, int256 rate)
        external
        pure
        returns (BlackScholes.Quote memory)
    {
        return BlackScholes.evaluate(forward, strike, timeSeconds, vol, rate);
    }

    /// @notice The vol that a price implies; units, domain and errors as in `ImpliedVol.solve`.
    function impliedVol(
        uint256 price,
        uint256 forward,
        uint256 strike,
        uint256 timeSeconds,
        int256 rate,
        bool isCall
    ) external pure returns (uint256) {
        return ImpliedVol.solve(price, forward, strike, timeSeconds, rate, isCall);
    }
}
