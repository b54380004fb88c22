//! Against librdkafka's built-in mock cluster.
