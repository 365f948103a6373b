"""This module holds the errors that bundles and stores raise.

ModelsError
├── BundleError          a bundle is damaged, incomplete, or written in a format that is not known here
└── StoreError           a store can't be used as asked
    ├── ModelNotFound
    └── VersionNotFound
"""


class ModelsError(Exception):
    """What every error of this package is; its text is one sentence for people."""


class BundleError(ModelsError):
    """A bundle is damaged, incomplete, or written in a format that is not known here."""


class StoreError(ModelsError):
    """A store can't be used as asked: a bad name, a bad pointer, a folder that can't be read."""


class ModelNotFound(StoreError):
    """The store holds no model of this name."""


class VersionNotFound(StoreError):
    """The model has no such version."""
