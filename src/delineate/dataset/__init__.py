"""What we learn from: cases, layouts, checks, splits."""
