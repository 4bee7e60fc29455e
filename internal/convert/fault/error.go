// Package fault has the errors of converters, with the Java classes that Kafka Connect reports for them.
package fault

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/culvert-project/culvert/wit/connectdata"
)

// Exception classes of Kafka Connect, for the headers of dead letters.
const (
	DataException          = "org.apache.kafka.connect.errors.DataException"
	ConfigException        = "org.apache.kafka.common.config.ConfigException"
	SchemaBuilderException = "org.apache.kafka.connect.errors.SchemaBuilderException"
	TooLargeException      = "org.apache.kafka.common.errors.RecordTooLargeException"
)

// Fatal is an error that no record has caused and no tolerance skips, such as a schema registry that rejects the user.
type Fatal struct{ Err error }

func (f *Fatal) Error() string { return f.Err.Error() }

func (f *Fatal) Unwrap() error { return f.Err }

// IsFatal reports whether err is a [Fatal].
func IsFatal(err error) bool {
	_, ok := errors.AsType[*Fatal](err)
	return ok
}

// Error reports a value that cannot be converted, or an invalid setting.
type Error struct {
	Class string // the Java class of the exception
	Text  string
}

func (e *Error) Error() string { return e.Text }

// New returns an error with a Java class.
func New(class, text string) *Error { return &Error{Class: class, Text: text} }

// Data returns a DataException.
func Data(format string, args ...any) error {
	return New(DataException, fmt.Sprintf(format, args...))
}

// Config returns a ConfigException.
func Config(format string, args ...any) error {
	return New(ConfigException, fmt.Sprintf(format, args...))
}

// Class returns the Java class of an error, or "" if it is not an [Error].
func Class(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Class
	}
	return ""
}

// SerializationException marks a document that is not JSON, until [NotJSON] replaces it by the converters' exception.
const SerializationException = "org.apache.kafka.common.errors.SerializationException"

// NotJSON turns a SerializationException into a DataException. prefix is Kafka Connect's message.
func NotJSON(prefix string, err error) error {
	if Class(err) == SerializationException {
		return New(DataException, prefix+err.Error())
	}
	return err
}

// Canceled marks the end of the context, until [ContextError] turns it into the context's error.
var Canceled = &Error{Text: "the conversion was ended"}

// ContextError returns the context's error for [Canceled], other errors unchanged.
func ContextError(ctx context.Context, err *Error) error {
	if err == Canceled {
		return context.Cause(ctx)
	}
	return err
}

// InField returns the error with the name of a field as prefix. If the text has [MaxErrorBytes], dots replace this name
// and all further ones. [Canceled] stays unchanged.
func (e *Error) InField(field string) *Error {
	const omission = "... "
	switch {
	case e == Canceled:
		return e
	case len(e.Text) < MaxErrorBytes:
		return New(e.Class, "field "+Quoted(field)+": "+e.Text)
	case e.Text[:len(omission)] == omission:
		return e
	}
	return New(e.Class, omission+e.Text)
}

// MaxErrorBytes is the length from which on further field names are omitted.
const MaxErrorBytes = 2000

// MaxQuoted is the maximum number of bytes of a quoted text.
const MaxQuoted = 100

// Quoted returns a text in quotation marks, cut to [MaxQuoted].
func Quoted[T string | []byte](s T) string { return strconv.Quote(Truncate(s)) }

// Truncate returns at most [MaxQuoted] bytes of a text, with dots if it is longer.
func Truncate[T string | []byte](s T) string {
	if len(s) > MaxQuoted {
		return string(s[:MaxQuoted]) + "..."
	}
	return string(s)
}

// TruncateTo is [Truncate] with another length.
func TruncateTo(text string, maxBytes int) string {
	if len(text) > maxBytes {
		return text[:maxBytes] + "..."
	}
	return text
}

// Malformed reports that the bytes of a value at an offset do not match its schema.
func Malformed(offset int, problem string) *Error {
	return New(DataException, "byte "+strconv.Itoa(offset)+" of the structured value: "+problem)
}

// DecimalTooLong reports a decimal that is too long.
func DecimalTooLong() *Error {
	return New(DataException, "a Decimal of more than "+strconv.Itoa(connectdata.MaxDecimalBytes)+" bytes")
}

// NoValue is the text of the error of a union without a value.
const NoValue = "the union has no value"

// SchemaError turns a TooLargeException about a schema into a DataException, because no single record is too large.
func SchemaError(err error) error {
	if e, ok := errors.AsType[*Error](err); ok && e.Class == TooLargeException {
		return New(DataException, "the schema with its defaults takes "+e.Text)
	}
	return err
}
