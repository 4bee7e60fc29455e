package setting

import (
	"slices"
	"strconv"
	"strings"
)

// Code classifies a problem.
type Code string

// Codes of problems. Other problems have none.
const (
	CodeInvalid     Code = "invalid-value" // the value violates the declaration
	CodeMissing     Code = "missing"       // a required setting is missing
	CodeUnknown     Code = "unknown"       // the setting is not declared
	CodeNoEffect    Code = "no-effect"     // the setting is known and has no effect
	CodeUnsupported Code = "not-built"     // the setting is known and not supported yet
	CodeNotChecked  Code = "not-checked"   // the service or registry that could confirm the value did not answer
)

// Problem is a problem of a configuration, as users see it.
type Problem struct {
	File    string `json:"file"`              // the configuration file, or "" if unknown, see [Problem.Error]
	Line    int    `json:"line"`              // from 1 on, 0 if unknown
	Setting string `json:"setting,omitempty"` // the name of the setting, or "" if the problem concerns several
	Code    Code   `json:"code,omitempty"`
	Text    string `json:"text"`
	// Warning means that the configuration is accepted.
	Warning bool `json:"warning"`
	// ConnectorOnly means that the problem stops only its connector, not the worker and other connectors.
	ConnectorOnly bool `json:"-"`
}

// String returns `FILE:LINE: SETTING: text`. Further lines of the text, such as a plugin's stack, begin with a tab.
func (p Problem) String() string {
	message := ""
	if p.File != "" {
		message = p.File
		if p.Line > 0 {
			message += ":" + strconv.Itoa(p.Line)
		}
		message += ": "
	}
	if p.Setting != "" {
		message += p.Setting + ": "
	}
	if p.Warning {
		message += "warning: "
	}
	// A tab that further lines have already is not doubled.
	return message + strings.ReplaceAll(strings.ReplaceAll(p.Text, "\n\t", "\n"), "\n", "\n\t")
}

// Error returns [Problem.String].
func (p Problem) Error() string { return p.String() }

// Problems is a list of problems, sorted by file and line. As an error it contains the problems that are not warnings.
type Problems []Problem

// Error returns one line for each problem that is no warning.
func (ps Problems) Error() string {
	var lines []string
	for _, p := range ps {
		if !p.Warning {
			lines = append(lines, p.String())
		}
	}
	return strings.Join(lines, "\n")
}

// Err returns ps as an error, or nil if there are only warnings.
func (ps Problems) Err() error {
	if slices.ContainsFunc(ps, func(p Problem) bool { return !p.Warning }) {
		return ps
	}
	return nil
}

// Sort sorts by file and line; the order within a line stays.
func (ps Problems) Sort() {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		if a.File != b.File {
			return strings.Compare(a.File, b.File)
		}
		return a.Line - b.Line
	})
}
