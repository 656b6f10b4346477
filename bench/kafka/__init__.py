"""A real Apache Kafka for tests and benchmarks, started and ended by them."""
