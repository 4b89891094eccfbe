"""Apache Kafka behind the bus port: one request topic per biller, one result topic, one for dead letters."""
