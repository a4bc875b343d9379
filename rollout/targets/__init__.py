"""Where the service runs and how traffic is split. Every adapter implements `base.Target`."""
