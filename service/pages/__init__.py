"""This package is the pages that people open in a browser; all that they load comes from this machine."""
