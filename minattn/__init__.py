"""minattn: attention, built and measured.

The package that grows with the book: one chapter, one module. Import what you need from the module that
is named by the idea, for example ``from minattn.alignment import AdditiveAttention``.
"""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("minattn")
except PackageNotFoundError:  # imported from a checkout that was never installed
    __version__ = "0+unknown"

__all__ = ["__version__"]
