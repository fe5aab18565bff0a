"""Things that are counted: instances, lesions, and scored candidates for them."""
