"""A compiled execution path for Strawberry schemas; see README.md here."""

from kalends.compiled.plan import Compiler, Plan
from kalends.compiled.run import Run

__all__ = ["Compiler", "Plan", "Run"]
