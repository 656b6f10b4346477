"""The bus between hosts: Apache Kafka. Nothing here is loaded unless brokers are configured."""
