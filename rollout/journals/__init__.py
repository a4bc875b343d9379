"""Where the record of a rollout lives. Every adapter implements `base.Journal`."""
