package rest

import "encoding/json"

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

// ToolAsked has a command run.
type ToolAsked struct {
	Options map[string]string `json:"options,omitempty"`
}

// ToolAnswer is what a command answers.
type ToolAnswer struct {
	// Document is its document; Schemas are its schemas as Kafka Connect writes them in JSON.
	Document json.RawMessage `json:"document,omitempty"`
	Schemas  json.RawMessage `json:"schemas,omitempty"`
}
