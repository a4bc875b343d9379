"""The comparison of Rollout's judgement with the peers' rules, on the same simulated rollouts."""
