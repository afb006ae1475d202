"""A decision becomes an order, an order a transaction: journal, nonces, fees, receipts, recovery."""
