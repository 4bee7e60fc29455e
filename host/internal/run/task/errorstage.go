package task

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
