"""This package knows what every normalization layer was trained on; it knows no HTTP."""
