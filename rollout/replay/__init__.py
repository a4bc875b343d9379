"""Recorded samples and what a policy would have made of them, by the code that judges a live rollout."""
