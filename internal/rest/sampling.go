package rest

import (
	"encoding/json"
	"time"
)

// SampleRequest starts a sample of the next rows of a connector.
type SampleRequest struct {
	Rows int `json:"rows,omitempty"` // from 1 to 100, zero means 20
	// Show is full, or shape for types and sizes instead of values. "" means the most that console.records allows.
	Show string `json:"show,omitempty"`
}

// Sample contains rows of a connector with the results of its transforms. It is kept for ten minutes.
type Sample struct {
	ID        string       `json:"id"`
	Connector string       `json:"connector"`
	State     string       `json:"state"` // waiting until all Wanted rows are there, then done
	Wanted    int          `json:"wanted"`
	Show      string       `json:"show"`
	Created   time.Time    `json:"created"`
	Expires   time.Time    `json:"expires"`
	Steps     []SampleStep `json:"steps"` // the transforms in order, empty before the first row
	Rows      []SampledRow `json:"rows"`
	Problem   string       `json:"problem,omitempty"` // why the transforms could not run
}

// SampleStep is a transform. If Negate is set, it sees only rows that the Predicate does not match.
type SampleStep struct {
	Alias     string `json:"alias"`
	Class     string `json:"class"`
	Predicate string `json:"predicate,omitempty"`
	Negate    bool   `json:"negate,omitempty"`
}

// SampledRow is one row with the results of the transforms.
type SampledRow struct {
	Task int `json:"task"`
	// Feed is set for a source, such as an entity set; Partition and Offset for a sink's record.
	Feed      string        `json:"feed,omitempty"`
	Partition int32         `json:"partition"`
	Offset    int64         `json:"offset"`
	Input     SampledRecord `json:"came"` // the row before the first transform
	// Steps correspond to [Sample.Steps], up to the one that dropped or refused the row.
	Steps   []SampledStep `json:"steps"`
	Problem string        `json:"problem,omitempty"` // why the row is not shown
}

// SampledStep is the result of one transform for a row.
type SampledStep struct {
	Outcome string          `json:"did"`     // changed, unchanged, skipped (by its predicate), dropped or failed
	Records []SampledRecord `json:"records"` // set if the row changed, Error if the transform failed
	Error   string          `json:"error,omitempty"`
}

// SampledRecord is a record as text.
type SampledRecord struct {
	Topic string `json:"topic"`
	// Key and Value are indented JSON of at most 64 KiB each, "null" for none; with show=shape types, not values.
	Key     string          `json:"key"`
	Value   string          `json:"value"`
	Headers []SampledHeader `json:"headers"`
	// KeySchema and ValueSchema are Kafka Connect's schemas in JSON, "" for values without one.
	KeySchema   string `json:"key_schema,omitempty"`
	ValueSchema string `json:"value_schema,omitempty"`
	Cut         bool   `json:"cut,omitempty"` // Key, Value or Headers are truncated
}

// SampledHeader has its value as JSON.
type SampledHeader struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Tool is a command of a connector's plugin.
type Tool struct {
	Name    string       `json:"name"`
	Usage   string       `json:"usage"`
	Options []ToolOption `json:"options"`
}

// ToolOption is an option of a command.
type ToolOption struct {
	Name     string  `json:"name"`
	Type     string  `json:"type"`
	Required bool    `json:"required"`
	Default  *string `json:"default,omitempty"`
	Usage    string  `json:"usage"`
}

// ToolRequest is the body of a request that runs a command.
type ToolRequest struct {
	Options map[string]string `json:"options,omitempty"`
}

// ToolAnswer is the result of a command: a document, or schemas in Kafka Connect's JSON form.
type ToolAnswer struct {
	Document json.RawMessage `json:"document,omitempty"`
	Schemas  json.RawMessage `json:"schemas,omitempty"`
}
