"""Jobs: what the command line and any other front end start, from settings to files."""
