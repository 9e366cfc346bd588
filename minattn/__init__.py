"""minattn: attention, built and measured.

The package that grows with the book: every chapter adds a module or more, named by their ideas. Import what you
need from there, for example ``from minattn.alignment import AdditiveAttention``.
"""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("minattn")
except PackageNotFoundError:  # imported from a checkout that was never installed
    __version__ = "0+unknown"

__all__ = ["__version__"]
