"""What wakes workers and waiting calls. SQL owns the truth; a lost or doubled message costs time, never money."""
