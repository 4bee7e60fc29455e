package rest

// Flow is where the time of a connector's tasks went in the last minute, on this worker and on those that have
// answered.
type Flow struct {
	Name string `json:"name"`
	Type string `json:"type"`
	// Seconds is how much time the figures are about: 60, or less where the tasks are younger.
	Seconds float64 `json:"seconds"`
	// Stages are those of the connector's type in the order in which a row goes through them: fetch, decode, transform,
	// produce of a source; consume, convert, transform, encode, send, settle of a sink.
	Stages []StageTime `json:"stages"`
	// Rows is how many rows were delivered in a second, Bytes how many bytes were fetched or consumed.
	Rows  float64 `json:"rows_per_second"`
	Bytes float64 `json:"bytes_per_second"`
	// Silent are the workers that have not said, with the reason.
	Silent []string `json:"silent,omitempty"`
}

// StageTime is a stage's part of the time. Stages run side by side, so that the shares of all may be more than 1.
type StageTime struct {
	Stage string `json:"stage"`
	// Share is the time that the stage was at work, of the time of all tasks: from 0 to 1.
	Share float64 `json:"share"`
	// Work is the same in seconds, Calls how often the stage was at work.
	Work  float64 `json:"work_seconds"`
	Calls int64   `json:"calls"`
}
