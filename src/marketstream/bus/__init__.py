"""Kafka: the publisher, the consumer and the topics' administration."""
