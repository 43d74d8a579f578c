"""The leaderboard: which recipe is better, how surely, at what cost."""
