package record

import (
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// Record is a row that passes through the stages.
type Record struct {
	Row     *wit.Row // the input, whose partition, offset and timestamp never change
	Topic   string
	Parts   [3]Part // by [Target]
	Dropped bool
}

// Target selects a part of a record.
type Target uint8

const (
	Key Target = iota
	Value
	Headers
)

// Load replaces the record by a row of a call, whose memory it refers to.
func (rec *Record) Load(row *wit.Row, topic string, data []byte) error {
	rec.Row = row
	rec.Topic = topic
	rec.Dropped = false
	if !rec.Parts[Key].load(&row.Key, data) || !rec.Parts[Value].load(&row.Value, data) ||
		!rec.Parts[Headers].load(&row.Headers, data) {
		return &wit.Error{Kind: wit.ErrorInternal, Message: "a value slice exceeds the call's data"}
	}
	return nil
}

// AddHeaders adds n headers, which add appends.
func (rec *Record) AddHeaders(scratch *Scratch, n, stage int, add func(dst []byte) []byte) *Failure {
	part := &rec.Parts[Headers]
	var list HeaderReader
	if part.Encoding == wit.Raw {
		list = ReadHeaders(part.Bytes)
	}
	if list.Remaining < 0 {
		return DataFailure(stage, "invalid bytes of headers")
	}
	count := n + int(list.Remaining)
	if count > connectdata.MaxHeaders {
		return DataFailure(stage, "expected at most "+strconv.Itoa(connectdata.MaxHeaders)+" headers, found "+
			strconv.Itoa(count))
	}
	from := len(scratch.Buf)
	scratch.Buf = add(append(connectdata.AppendNumber(scratch.Buf, int64(count)), list.Rest...))
	part.Set(wit.Raw, 0, scratch.Buf[from:])
	return nil
}

// WithClass corrects the message of a failure that names the Java class of the schema, if the value has another.
func (rec *Record) WithClass(registry *Schemas, failure *Failure) *Failure {
	for target := Key; target <= Value; target++ {
		part := &rec.Parts[target]
		if part.Class == "" || part.Encoding != wit.WithSchema {
			continue
		}
		prefix, ok := strings.CutSuffix(failure.Message, JavaClass(&registry.Nodes(part.Schema)[0]))
		if ok && strings.HasSuffix(prefix, classPrefix) {
			return NewFailure(failure.Stage, failure.Class, prefix+part.Class)
		}
	}
	return failure
}
