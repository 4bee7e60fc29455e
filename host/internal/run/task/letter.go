package task

import (
	"errors"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/host/convert/fault"
	"github.com/culvert-project/culvert/wit"
)

// DeadLetter is a dead letter that is replayed.
type DeadLetter struct {
	// Record is what could not be handled: a sink's as it was read; a source's row with its topic, the partition that
	// its plugin wanted it in (-1: none), and its number in its page as the offset.
	Record *kgo.Record
	// Place is where the letter is, as PARTITION@OFFSET.
	Place string
	// Parts are those of the rows that the transforms make of it which are to be delivered. Times is how often it was
	// replayed, this time included.
	Parts Parts
	Times int
	// Sent, of a sink's: nobody knows whether an earlier replay has written it.
	Sent bool
	// Feed is that of a source's row, "" where the letter does not say, and Page the request that it came with.
	// Document: its value is the row as the service sent it, else it is JSON with its schema, as its key.
	Feed, Page string
	Document   bool
}

// Failure is the reason, as a dead letter records it, why a record or row could not be handled.
type Failure struct {
	// Parts are those of the rows that the transforms made of it which could not be handled.
	Parts Parts
	Stage ErrorStage
	// Transform is the position of the transform that failed, at [AtTransforms].
	Transform int
	// Class is the Java class that Kafka Connect would give to the failure, "" where it has none.
	Class string
	Err   error
	// Times is how often it was replayed.
	Times int
}

// FailureOf returns the failure of an error, which may be a [RowFault].
func FailureOf(stage ErrorStage, err error) Failure {
	f := Failure{Stage: stage, Class: fault.Class(err), Err: err}
	var of RowFault
	if errors.As(err, &of) {
		f.Class, f.Transform = of.ErrorClass, int(of.Stage)
	}
	return f
}

// RowFault is the fault of a transform as an error.
type RowFault struct{ *wit.RowFault }

func (f RowFault) Error() string { return f.Fault.Error() }

// Unwrap returns the fault alone, without what else dead letters record of it.
func (f RowFault) Unwrap() error { return &f.Fault }
