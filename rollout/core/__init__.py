"""The decisions of a rollout, pure: no clock, no I/O, no randomness, standard library only."""
