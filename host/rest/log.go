package rest

import "time"

// LogPage is a part of the last lines of a worker's log.
type LogPage struct {
	WorkerID string    `json:"worker_id"`
	Lines    []LogLine `json:"lines"`
	// Last is what ?after= takes for the lines behind these.
	Last int64 `json:"last"`
	// Lost says that lines behind ?after= are no longer known.
	Lost bool `json:"lost,omitempty"`
}

// LogLine is a line of the log.
type LogLine struct {
	Number int64     `json:"number"`
	Time   time.Time `json:"time"`
	Level  string    `json:"level"`
	Logger string    `json:"logger"`
	// Connector is the one that the line is about; "" for none.
	Connector string `json:"connector,omitempty"`
	// Text is the message with its attributes, NAME=VALUE, as in the log.
	Text string `json:"text"`
}
