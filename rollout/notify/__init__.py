"""Who is told outside of the pull request: a decoration that may fail, and fails no rollout."""
