"""The version, once: in the package, in the wheel, and in every policy revision."""

__version__ = "0.1.0"
