"""Frozen values that travel between the rooms: snapshots, series, positions, venues, orders, decisions, tapes."""
