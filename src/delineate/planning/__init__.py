"""What the data tell us, and what we decide."""
