"""Bytes become values and values bytes: the only folder that knows file formats."""
