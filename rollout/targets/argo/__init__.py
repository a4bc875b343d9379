"""The argo target: a Rollout of Argo Rollouts, whose controller splits the traffic; we give orders and read back."""
