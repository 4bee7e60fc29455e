package secret

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"runtime"
)

// Value is the text of a setting. If config providers supplied it, it is secret: printed and encoded as [Hidden].
type Value struct {
	plain  string
	secret *secretText
}

// secretText holds a secret behind a function, since package fmt prints unexported fields.
type secretText struct {
	text     func() string
	fromFile bool
}

// Plain returns a value as written by a user.
func Plain(text string) Value { return Value{plain: text} }

// NewSecret returns a secret value. The redactor redacts pieces, the parts of text that are secret, until all copies of
// the value are garbage. fromFile is the result of [Value.FromFile].
func (r *Redactor) NewSecret(text string, fromFile bool, pieces ...string) Value {
	s := &secretText{text: func() string { return text }, fromFile: fromFile}
	runtime.AddCleanup(s, func(remove func()) { remove() }, r.Add(pieces...))
	return Value{secret: s}
}

// Reveal returns the text itself, which must not be shown.
func (v Value) Reveal() string {
	if v.secret != nil {
		return v.secret.text()
	}
	return v.plain
}

// IsSecret reports whether config providers supplied a part of the text.
func (v Value) IsSecret() bool { return v.secret != nil }

// FromFile reports whether a config provider that reads files supplied a part of the text.
func (v Value) FromFile() bool { return v.secret != nil && v.secret.fromFile }

// Equal reports whether two values have the same text and the same source.
func (v Value) Equal(other Value) bool {
	return v.Reveal() == other.Reveal() && v.IsSecret() == other.IsSecret() && v.FromFile() == other.FromFile()
}

func (v Value) String() string {
	if v.IsSecret() {
		return Hidden
	}
	return v.plain
}

// Format implements [fmt.Formatter], so that no verb prints a secret: %#v would print the fields.
func (v Value) Format(f fmt.State, verb rune) {
	if verb == 'v' && f.Flag('#') {
		verb = 'q'
	}
	_, _ = io.WriteString(f, fmt.Sprintf(fmt.FormatString(f, verb), v.String()))
}

// LogValue implements [slog.LogValuer]; a secret is logged as [Hidden].
func (v Value) LogValue() slog.Value { return slog.StringValue(v.String()) }

// MarshalText implements [encoding.TextMarshaler]; a secret is encoded as [Hidden].
func (v Value) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// RedactError wraps err in an error with the redacted text. It returns err itself if redact changes nothing.
func RedactError(err error, redact func(string) string) error {
	if err == nil {
		return nil
	}
	message := err.Error()
	if redacted := redact(message); redacted != message {
		return &redactedError{text: redacted, cause: err}
	}
	return err
}

type redactedError struct {
	text  string
	cause error
}

func (e *redactedError) Error() string { return e.text }
func (e *redactedError) Unwrap() error { return e.cause }

// jsonValues matches the strings, also the names of members, and the numbers of a valid JSON document.
var jsonValues = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|-?[0-9][-+.0-9Ee]*`)

// RedactJSON redacts strings and numbers of a JSON document, which stays valid; other texts are redacted as a whole.
func RedactJSON(document string, redact func(string) string) string {
	if !json.Valid([]byte(document)) {
		return redact(document)
	}
	return jsonValues.ReplaceAllStringFunc(document, func(encoded string) string {
		value := encoded
		if encoded[0] == '"' {
			_ = json.Unmarshal([]byte(encoded), &value) // cannot fail: the document is valid
		}
		redacted := redact(value)
		if redacted == value {
			return encoded
		}
		return encodeJSON(redacted, false)
	})
}
