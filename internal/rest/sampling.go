package rest

import (
	"encoding/json"
	"time"
)

// SampleRequest asks for the next rows of a connector.
type SampleRequest struct {
	// Rows is how many, from 1 to 100; 0: 20.
	Rows int `json:"rows,omitempty"`
	// Show is full, or shape: types and sizes in the place of values. "": as much as console.records allows.
	Show string `json:"show,omitempty"`
}

// Sample is rows of a connector as they came, and what each of its transforms made of them. It is kept in memory for
// ten minutes, if 16 others are not asked for meanwhile.
type Sample struct {
	ID        string `json:"id"`
	Connector string `json:"connector"`
	// State is waiting, until as many rows have come as were asked for, then done.
	State   string    `json:"state"`
	Wanted  int       `json:"wanted"`
	Show    string    `json:"show"`
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires"`
	// Steps are the transforms of the chain, in their order; none before the first row has come.
	Steps []SampleStep `json:"steps"`
	Rows  []SampledRow `json:"rows"`
	// Problem says why the chain could not be computed, and rows are as they came.
	Problem string `json:"problem,omitempty"`
}

// SampleStep is a transform.
type SampleStep struct {
	Alias string `json:"alias"`
	Class string `json:"class"`
	// Predicate is the one that decides which rows it sees, Negate: those that it does not match.
	Predicate string `json:"predicate,omitempty"`
	Negate    bool   `json:"negate,omitempty"`
}

// SampledRow is one row with what became of it.
type SampledRow struct {
	Task int `json:"task"`
	// Feed is what a source has read it from, such as an entity set; a sink's rows have the Partition and Offset of
	// their record.
	Feed      string `json:"feed,omitempty"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	// Input is the row before the first transform.
	Input SampledRecord `json:"came"`
	// Steps are as those of the [StartSample], up to the one that dropped or refused the row.
	Steps []SampledStep `json:"steps"`
	// Problem says why the row is not shown.
	Problem string `json:"problem,omitempty"`
}

// SampledStep is what one transform made of a row.
type SampledStep struct {
	// Outcome is changed, unchanged, skipped (its predicate kept the row from it), dropped or failed.
	Outcome string `json:"did"`
	// Records are what it made of a row that it has changed, Error is why it failed.
	Records []SampledRecord `json:"records"`
	Error   string          `json:"error,omitempty"`
}

// SampledRecord is a record as text.
type SampledRecord struct {
	Topic string `json:"topic"`
	// Key and Value are JSON, indented, and cut at 64 KiB each; "null" for none. With show=shape they have the names of
	// types in the place of values.
	Key     string          `json:"key"`
	Value   string          `json:"value"`
	Headers []SampledHeader `json:"headers"`
	// KeySchema and ValueSchema are Kafka Connect's schemas in JSON; "" for values without one.
	KeySchema   string `json:"key_schema,omitempty"`
	ValueSchema string `json:"value_schema,omitempty"`
	// Cut says that Key, Value or Headers is not all of it.
	Cut bool `json:"cut,omitempty"`
}

// SampledHeader is a header with its value as JSON.
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

// ToolAnswer is the answer of a command.
type ToolAnswer struct {
	// Document is the command's document; Schemas holds its schemas in Kafka Connect's JSON form.
	Document json.RawMessage `json:"document,omitempty"`
	Schemas  json.RawMessage `json:"schemas,omitempty"`
}
