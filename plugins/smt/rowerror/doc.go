// Package rowerror defines the [Failure] of a row, with Kafka Connect's classes and messages.
package rowerror
