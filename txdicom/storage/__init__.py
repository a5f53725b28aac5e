"""Where instances go: the format of files, their names, stores, and the disk."""
