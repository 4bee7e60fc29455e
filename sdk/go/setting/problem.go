package setting

import (
	"slices"
	"strconv"
	"strings"
)

// Code is what kind of problem one is.
type Code string

// Codes of problems. What nobody has to tell apart has none.
const (
	CodeInvalid     Code = "invalid-value" // the value is not what the declaration wants
	CodeMissing     Code = "missing"       // a required setting is not given
	CodeUnknown     Code = "unknown"       // nobody declares it
	CodeNoEffect    Code = "no-effect"     // it is known, and changes nothing
	CodeUnsupported Code = "not-built"     // it is known, and what it asks for is not built
	CodeNotChecked  Code = "not-checked"   // the service or registry that could confirm the value did not answer
)

// Problem is something wrong with a configuration, in the form that is shown to its author. As an error it is its text.
type Problem struct {
	// File where it stands, "" where who finds the problem does not know: see [Problem.Error].
	File string `json:"file"`
	Line int    `json:"line"`
	// Setting is the name, "" where the problem is not with one setting.
	Setting string `json:"setting,omitempty"`
	Code    Code   `json:"code,omitempty"`
	Text    string `json:"text"`
	// Warning: worth knowing, and no reason to refuse the configuration.
	Warning bool `json:"warning"`
	// ConnectorOnly: it keeps its connector from running, and neither the worker nor other connectors.
	ConnectorOnly bool `json:"-"`
}

// String is `FILE:LINE: SETTING: text`. Further lines of the text, a stack of a plugin's say, begin with a tab, so that
// they pass for no problem of their own.
func (p Problem) String() string {
	text := ""
	if p.File != "" {
		text = p.File
		if p.Line > 0 {
			text += ":" + strconv.Itoa(p.Line)
		}
		text += ": "
	}
	if p.Setting != "" {
		text += p.Setting + ": "
	}
	if p.Warning {
		text += "warning: "
	}
	return text + strings.ReplaceAll(strings.ReplaceAll(p.Text, "\n\t", "\n"), "\n", "\n\t")
}

// Error is String.
func (p Problem) Error() string { return p.String() }

// Problems are problems in the order of file and line. As an error it is the text of those that are no warnings.
type Problems []Problem

// Error is one line for each problem that is no warning.
func (ps Problems) Error() string {
	var lines []string
	for _, p := range ps {
		if !p.Warning {
			lines = append(lines, p.String())
		}
	}
	return strings.Join(lines, "\n")
}

// Err is ps as an error, nil if there are only warnings.
func (ps Problems) Err() error {
	if slices.ContainsFunc(ps, func(p Problem) bool { return !p.Warning }) {
		return ps
	}
	return nil
}

// Sort orders by file and line, keeping the order found within a line.
func (ps Problems) Sort() {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		if a.File != b.File {
			return strings.Compare(a.File, b.File)
		}
		return a.Line - b.Line
	})
}
