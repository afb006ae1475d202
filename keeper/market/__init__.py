"""Models of prices and of order flow: pure, the random generator is passed in."""
