"""This package measures what the documentation claims; every part runs on its own."""
