"""The page to explore an inspection."""
