"""Loaders and downloads of real prices, funding and volatilities; bad rows are named."""
