"""rollout.yml to a plan and the settings of its adapters: all mistakes at once, each with its line and a way out.

It reads one file and the variables it is given, and starts, asks and changes nothing.
"""

from rollout.config.loading import Configuration, MetricsSettings, TargetSettings, load, load_plan, parse, parse_policy
from rollout.config.schema import schema, schema_text

__all__ = [
    "Configuration",
    "MetricsSettings",
    "TargetSettings",
    "load",
    "load_plan",
    "parse",
    "parse_policy",
    "schema",
    "schema_text",
]
