"""From a case to a batch."""
