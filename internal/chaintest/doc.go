// Package chaintest runs chains of transforms on records that a file holds, and compares what comes out with what the
// file expects: `culvert test`. The chain is the worker's own, with the same plugins in their sandbox; neither Kafka
// nor a service is needed.
package chaintest
