"""All systems of a run side by side: one leaderboard of encoders, compression, attention, and what papers claim."""
