"""The leaderboard: which recipe is better, with what confidence, at what cost."""
