"""A small hospital in network namespaces, its ordinary morning, and the attacks on it."""
