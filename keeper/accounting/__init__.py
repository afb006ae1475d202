"""Fills and marks become a ledger, an attribution of P&L and an analysis of costs; NAV is explained, not defined."""
