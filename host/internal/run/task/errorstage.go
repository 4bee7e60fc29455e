package task

// ErrorStage is where a record failed, as dead letters and the log name it.
type ErrorStage string

// The stages of Kafka Connect (org.apache.kafka.connect.runtime.errors.Stage), with TASK_POLL and TASK_PUT divided
// by what the plugin was at.
const (
	// StageDecode: the plugin could not read a row of the service's answer.
	StageDecode ErrorStage = "decode"
	// StageReplay: a source's dead letter could not be read.
	StageReplay          ErrorStage = "replay"
	StageKeyConverter    ErrorStage = "key converter"
	StageValueConverter  ErrorStage = "value converter"
	StageHeaderConverter ErrorStage = "header converter"
	StageTransforms      ErrorStage = "transforms"
	// StageEncode: the plugin could not make a request of a record.
	StageEncode ErrorStage = "encode"
	// StageWrite: the service refused it.
	StageWrite ErrorStage = "write"
)
