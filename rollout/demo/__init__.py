"""The demo: the main job on real parts of this machine, with a small chat-like service as the thing released.

Nothing outside this package imports it except the command line; it never talks to another machine.
"""
