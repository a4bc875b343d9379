"""From counters to evidence to a verdict, pure. The method and its sources are in docs/statistics.md."""
