"""The verbs of `nigrani detector`."""
