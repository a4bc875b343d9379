"""Measurements on real parts, each by `make bench`; none is asserted by a test, as machines differ."""
