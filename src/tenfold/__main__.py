"""``python -m tenfold``."""

from __future__ import annotations

from tenfold.cli.app import main

__all__: list[str] = []

if __name__ == "__main__":
    main()
