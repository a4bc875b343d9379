"""Where the metrics come from. Every adapter implements `base.Source`."""
