package task

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
