"""Write docs/settings.md from the settings schema, and put the pages on methods into the package."""

import shutil
from pathlib import Path

from tenfold.studio import manual

ROOT = Path(__file__).parent.parent
PAGES = ROOT / "src" / "tenfold" / "studio" / "pages"


def main() -> None:
    """Write all of it."""
    (ROOT / "docs" / "settings.md").write_text(manual.settings_page(), encoding="utf-8")
    shutil.rmtree(PAGES, ignore_errors=True)
    shutil.copytree(ROOT / "docs" / "methods", PAGES)


if __name__ == "__main__":
    main()
