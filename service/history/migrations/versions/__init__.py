"""This package is the changes of the schema; each says behind which one it comes."""
