"""This package is the contract between training and service: what a bundle is, and where bundles live."""
