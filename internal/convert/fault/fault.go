// Package fault is the errors of converters, each with the Java class that Kafka Connect would report.
package fault

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/culvert-project/culvert/wit/connectdata"
)

// Names of the exception classes that Kafka Connect would give; they go into the headers of dead letters.
const (
	DataException   = "org.apache.kafka.connect.errors.DataException"
	ConfigException = "org.apache.kafka.common.config.ConfigException"
	// SchemaBuilderException is thrown where a schema cannot be.
	SchemaBuilderException = "org.apache.kafka.connect.errors.SchemaBuilderException"
	// TooLargeException is of what a producer would not send.
	TooLargeException = "org.apache.kafka.common.errors.RecordTooLargeException"
)

// Stop is an error that is no record's fault and that no tolerance passes over: a schema registry that refuses a schema
// or its user, for example. What was not converted stays where it is until that is mended.
type Stop struct{ Err error }

func (e *Stop) Error() string { return e.Err.Error() }

func (e *Stop) Unwrap() error { return e.Err }

// Stops tells whether an error of a converter is a [Stop].
func Stops(err error) bool {
	_, stops := errors.AsType[*Stop](err)
	return stops
}

// Error is a value that cannot be converted, or a setting that makes no sense.
type Error struct {
	// Class is the Java class that Kafka Connect would report.
	Class string
	Text  string
}

func (e *Error) Error() string { return e.Text }

// New is an error of a class.
func New(class, text string) *Error { return &Error{class, text} }

// Data is Kafka Connect's DataException.
func Data(format string, args ...any) error {
	return New(DataException, fmt.Sprintf(format, args...))
}

// Config is Kafka's ConfigException.
func Config(format string, args ...any) error {
	return New(ConfigException, fmt.Sprintf(format, args...))
}

// Class is the Java class that stands for an error of this package, or "" for another error.
func Class(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Class
	}
	return ""
}

// SerializationException is what Kafka's converters get, and do not throw themselves, where a document is no JSON:
// [unreadable] makes of it what they throw.
const SerializationException = "org.apache.kafka.common.errors.SerializationException"

// Unreadable is an error as the callers of a converter get it. lead is what Kafka Connect says of a document that is no
// JSON; what is wrong with it, which Java has in the exception's cause, follows.
func Unreadable(lead string, err error) error {
	if Class(err) == SerializationException {
		return New(DataException, lead+err.Error())
	}
	return err
}

// Ended stands for the end of the context on the way up: [EndedBy] makes the context's own error of it.
var Ended = &Error{Text: "the conversion was ended"}

// EndedBy is the error of a conversion as its caller gets it.
func EndedBy(ctx context.Context, err *Error) error {
	if err == Ended {
		return context.Cause(ctx)
	}
	return err
}

// In puts the name of a field in front of an error, for as long as there is room for names.
func (e *Error) In(field string) *Error {
	const more = "... "
	switch {
	case e == Ended:
		return e
	case len(e.Text) < MaxErrorBytes:
		return New(e.Class, "field "+Quoted(field)+": "+e.Text)
	case e.Text[:len(more)] == more:
		return e
	}
	return New(e.Class, more+e.Text)
}

// MaxErrorBytes is how long the text of an error gets by the names of the fields around the value at fault: further
// names are left out.
const MaxErrorBytes = 2000

// MaxQuoted is how much of a text an error says.
const MaxQuoted = 100

// Quoted is a text in quotation marks, cut where it is long.
func Quoted[T string | []byte](s T) string { return strconv.Quote(Cut(s)) }

// Cut is the beginning of a text that an error says.
func Cut[T string | []byte](s T) string {
	if len(s) > MaxQuoted {
		return string(s[:MaxQuoted]) + "..."
	}
	return string(s)
}

// CutTo is the beginning of a text, so many bytes of it at most.
func CutTo(text string, most int) string {
	if len(text) > most {
		return text[:most] + "..."
	}
	return text
}

// Broken is the error of a structured value whose bytes are none of its schema.
func Broken(at int, what string) *Error {
	return New(DataException, "byte "+strconv.Itoa(at)+" of the structured value: "+what)
}

// ManyDigits is the error of a decimal that is longer than batches have.
func ManyDigits() *Error {
	return New(DataException, "a Decimal of more than "+strconv.Itoa(connectdata.MaxDecimalBytes)+" bytes")
}

// NoValue is what a union struct is refused for.
const NoValue = "the union has no value"

// OfSchema is the error of a schema that cannot be written: too long is not the single record's fault.
func OfSchema(err error) error {
	if e, ok := errors.AsType[*Error](err); ok && e.Class == TooLargeException {
		return New(DataException, "the schema with its defaults takes "+e.Text)
	}
	return err
}
