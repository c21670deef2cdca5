"""What this replica answered and saw lately, in memory and bounded. Nothing here changes a verdict."""
