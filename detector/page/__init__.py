"""The page: cases and findings as analysts read and decide on them, served by a thread of the detector."""
