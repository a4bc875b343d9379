"""The peers' rules, each from its documented behaviour and the lines of its source that say so."""
