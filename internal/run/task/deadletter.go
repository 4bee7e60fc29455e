package task

import (
	"errors"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/convert/fault"
	"github.com/culvert-project/culvert/wit"
)

// DeadLetter is a dead letter that is replayed.
type DeadLetter struct {
	// Record is a sink's record as it was read, or a source's row: with its topic, the partition that the plugin chose
	// (-1 for none), and its index in the page as the offset.
	Record   *kgo.Record
	Position string // of the letter in its topic, as PARTITION@OFFSET
	Original string // identifies the record or row across all attempts
	// Rows are the rows to deliver. Replays counts replays, including this one.
	Rows    RowSubset
	Replays int
	InDoubt bool // an earlier replay may have written a sink's record
	// Feed and Request belong to a source's row; Feed may be "". IsDocument means that the value is the row as the
	// service sent it; otherwise key and value are JSON with schemas.
	Feed       string
	Request    string
	IsDocument bool
}

// Failure is the reason why a record or row could not be handled.
type Failure struct {
	Rows      RowSubset // the failed rows of a sink's record
	Stage     ErrorStage
	Transform int    // the index of the failed transform at [StageTransforms]
	Class     string // Kafka Connect's Java class for the failure, or ""
	Err       error
	// Replays and Original are copied from the replayed dead letter.
	Replays  int
	Original string
}

// NewFailure returns the failure of an error. If that is a [RowError], Class and Transform are taken from it.
func NewFailure(stage ErrorStage, err error) Failure {
	f := Failure{Stage: stage, Class: fault.Class(err), Err: err}
	var rowErr RowError
	if errors.As(err, &rowErr) {
		f.Class = rowErr.Row.ErrorClass
		f.Transform = int(rowErr.Row.Stage)
	}
	return f
}

// RowError is the error of a transform for one row.
type RowError struct{ Row *wit.RowError }

func (r RowError) Error() string { return r.Row.Error.Error() }

// Unwrap returns the plugin's error.
func (r RowError) Unwrap() error { return &r.Row.Error }

// ErrorStage is where a record failed.
type ErrorStage string

// The stages of Kafka Connect (org.apache.kafka.connect.runtime.errors.Stage), with TASK_POLL and TASK_PUT divided.
const (
	StageDecode          ErrorStage = "decode"
	StageReplay          ErrorStage = "replay"
	StageKeyConverter    ErrorStage = "key converter"
	StageValueConverter  ErrorStage = "value converter"
	StageHeaderConverter ErrorStage = "header converter"
	StageTransforms      ErrorStage = "transforms"
	StageEncode          ErrorStage = "encode"
	StageWrite           ErrorStage = "write"
)
