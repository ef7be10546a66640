"""What a run leaves behind: its folder, its events, and a compressed network that loads anywhere."""
