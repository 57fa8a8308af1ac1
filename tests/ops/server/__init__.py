"""Tests of `acode_tui.ops.server`."""
