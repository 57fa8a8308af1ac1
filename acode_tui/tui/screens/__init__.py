"""The dashboard's screens, one file each. All but the first are imported when they are first opened."""
