"""This package measures training: what it costs, and what it survives."""
