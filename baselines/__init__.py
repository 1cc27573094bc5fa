"""Prior art to compare against."""
