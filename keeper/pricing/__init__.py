"""Pure numbers: Black-76 and its Greeks, implied vol, the eSSVI surface, realised-vol estimators."""
