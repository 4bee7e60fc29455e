package task

import (
	"errors"

	"github.com/culvert-project/culvert/host/convert/fault"
	"github.com/culvert-project/culvert/wit"
)

// ErrorStage is where a record failed, as dead letters and the log name it.
type ErrorStage string

// The stages of Kafka Connect (org.apache.kafka.connect.runtime.errors.Stage), with TASK_POLL and TASK_PUT divided
// by what the plugin was at.
const (
	// AtDecode: the plugin could not read a row of the service's answer.
	AtDecode ErrorStage = "decode"
	// AtReplay: a source's dead letter could not be read.
	AtReplay          ErrorStage = "replay"
	AtKeyConverter    ErrorStage = "key converter"
	AtValueConverter  ErrorStage = "value converter"
	AtHeaderConverter ErrorStage = "header converter"
	AtTransforms      ErrorStage = "transforms"
	// AtEncode: the plugin could not make a request of a record.
	AtEncode ErrorStage = "encode"
	// AtWrite: the service refused it.
	AtWrite ErrorStage = "write"
)

// Failure is what a dead letter says of why a record or row could not be handled.
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

// FailureOf is a failure by err, which may be a [RowFault].
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

// Unwrap is the fault without what dead letters say of it besides.
func (f RowFault) Unwrap() error { return &f.Fault }
