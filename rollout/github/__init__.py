"""GitHub, as far as a rollout needs it. Nothing else imports PyGithub, and nothing here knows how a rollout decides."""
