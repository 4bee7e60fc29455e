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
	// Position is where the letter is, as PARTITION@OFFSET.
	Position string
	// Rows are those of the rows that the transforms make of it which are to be delivered. Times is how often it was
	// replayed, this time included.
	Rows    RowSubset
	Replays int
	// InDoubt, of a sink's: nobody knows whether an earlier replay has written it.
	InDoubt bool
	// Feed is that of a source's row, "" where the letter does not say, and Page the request that it came with.
	// Document: its value is the row as the service sent it, else it is JSON with its schema, as its key.
	Feed, Request string
	IsDocument    bool
}

// Failure is the reason, as a dead letter records it, why a record or row could not be handled.
type Failure struct {
	// Rows are those of the rows that the transforms made of it which could not be handled.
	Rows  RowSubset
	Stage ErrorStage
	// Transform is the position of the transform that failed, at [StageTransforms].
	Transform int
	// Class is the Java class that Kafka Connect would give to the failure, "" where it has none.
	Class string
	Err   error
	// Replays is how often it was replayed.
	Replays int
}

// NewFailure returns the failure of an error, which may be a [RowError].
func NewFailure(stage ErrorStage, err error) Failure {
	f := Failure{Stage: stage, Class: fault.Class(err), Err: err}
	var of RowError
	if errors.As(err, &of) {
		f.Class, f.Transform = of.Row.ErrorClass, int(of.Row.Stage)
	}
	return f
}

// RowError is the fault of a transform as an error.
type RowError struct{ Row *wit.RowError }

func (f RowError) Error() string { return f.Row.Error.Error() }

// Unwrap returns the fault alone, without what else dead letters record of it.
func (f RowError) Unwrap() error { return &f.Row.Error }
