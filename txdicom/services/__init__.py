"""Service classes (PS3.4): what C-ECHO, C-STORE, C-FIND and others mean, asked and answered."""
