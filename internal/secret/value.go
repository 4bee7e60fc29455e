package secret

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"runtime"
)

// Value is the text of a setting, which knows whether a config provider gave some of it. Such a one is [Hidden]
// wherever it is printed, logged or marshalled, whatever the verb; where it is used it is revealed. The zero Value is
// an empty text that somebody wrote.
type Value struct {
	plain string
	// secretText, unless nil, has the text in the place of written.
	secret *secretText
}

// secretText is a text of which config providers gave some. A function returns it, since package fmt prints what it finds in
// fields that are not exported, but no function.
type secretText struct {
	text     func() string
	fromFile bool
}

// Plain is a value as somebody wrote it.
func Plain(text string) Value { return Value{plain: text} }

// NewSecret is a value of which config providers gave some pieces. They are struck out of texts until the last copy of the
// value is gone, and somewhat longer. fromFile: one of the providers read a file, such as secrets are kept in.
func (k *Redactor) NewSecret(text string, fromFile bool, pieces ...string) Value {
	g := &secretText{func() string { return text }, fromFile}
	runtime.AddCleanup(g, func(forget func()) { forget() }, k.Add(pieces...))
	return Value{secret: g}
}

// Reveal is the text itself, for what uses it, and for nothing that is shown.
func (v Value) Reveal() string {
	if v.secret != nil {
		return v.secret.text()
	}
	return v.plain
}

// IsSecret tells whether a config provider gave some of it.
func (v Value) IsSecret() bool { return v.secret != nil }

// FromFile tells whether one that reads files did.
func (v Value) FromFile() bool { return v.secret != nil && v.secret.fromFile }

// Equal tells whether two values have the same text from the same kind of place.
func (v Value) Equal(other Value) bool {
	return v.Reveal() == other.Reveal() && v.IsSecret() == other.IsSecret() && v.FromFile() == other.FromFile()
}

// String is the text as it may be shown.
func (v Value) String() string {
	if v.IsSecret() {
		return Hidden
	}
	return v.plain
}

// Format is String by any verb.
func (v Value) Format(f fmt.State, verb rune) {
	if verb == 'v' && f.Flag('#') {
		verb = 'q'
	}
	_, _ = io.WriteString(f, fmt.Sprintf(fmt.FormatString(f, verb), v.String()))
}

// LogValue is String.
func (v Value) LogValue() slog.Value { return slog.StringValue(v.String()) }

// MarshalText is String, for JSON and all else that asks for it.
func (v Value) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// RedactError is an error whose text strike leaves secrets out of; it wraps err.
func RedactError(err error, strike func(string) string) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	if struck := strike(text); struck != text {
		return &redactedError{struck, err}
	}
	return err
}

// jsonValues are strings and numbers of a JSON document.
var jsonValues = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|-?[0-9][-+.0-9Ee]*`)

// RedactJSON is a document of whose strings and numbers, names of members among them, strike leaves secrets out: it stays
// JSON, laid out as it was. Text that is not JSON passes strike as a whole.
func RedactJSON(document string, strike func(string) string) string {
	if !json.Valid([]byte(document)) {
		return strike(document)
	}
	return jsonValues.ReplaceAllStringFunc(document, func(written string) string {
		text := written
		if written[0] == '"' {
			_ = json.Unmarshal([]byte(written), &text) // a string of a document that is valid
		}
		struck := strike(text)
		if struck == text {
			return written
		}
		return encodeJSON(struck, false)
	})
}

type redactedError struct {
	text  string
	cause error
}

func (e *redactedError) Error() string { return e.text }
func (e *redactedError) Unwrap() error { return e.cause }
