"""The Kubernetes target: a canary Deployment beside the user's own, and the weights of a route.

Its settings are in `settings`, which imports no client, so that reading rollout.yml stays cheap.
"""
