"""Write docs/settings.md from the settings schema."""

from pathlib import Path

from tenfold.studio.manual import settings_page

if __name__ == "__main__":
    page = Path(__file__).parent.parent / "docs" / "settings.md"
    page.write_text(settings_page(), encoding="utf-8")
