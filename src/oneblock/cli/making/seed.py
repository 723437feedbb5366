"""The seed of what is made."""

from __future__ import annotations

import argparse
import secrets


def seed_of(args: argparse.Namespace) -> int:
    """The one that was asked for, or a new one."""
    return secrets.randbelow(2**31) if args.seed is None else int(args.seed)
