// Package chaintest implements `culvert test`: it sends the records of test files through a chain of transforms and
// compares the results with the files. The chain is the same as in a worker, with the same plugins in their sandbox;
// neither Kafka nor a service is needed.
package chaintest
