package kafka

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kgo"
)

// AppendLine appends a record as a line of JSON without newline; key and values as [AppendDatum] writes them.
func AppendLine(line []byte, r *kgo.Record) []byte {
	line = append(line, `{"topic":`...)
	line = appendText(line, r.Topic)
	line = append(line, `,"partition":`...)
	line = strconv.AppendInt(line, int64(r.Partition), 10)
	line = append(line, `,"offset":`...)
	line = strconv.AppendInt(line, r.Offset, 10)
	line = append(line, `,"timestamp":`...)
	line = strconv.AppendInt(line, r.Timestamp.UnixMilli(), 10)
	line = append(line, `,"key":`...)
	line = AppendDatum(line, r.Key)
	line = append(line, `,"value":`...)
	line = AppendDatum(line, r.Value)
	line = append(line, `,"headers":[`...)
	for i, h := range r.Headers {
		if i > 0 {
			line = append(line, ',')
		}
		line = append(line, `{"key":`...)
		line = appendText(line, h.Key)
		line = append(line, `,"value":`...)
		line = AppendDatum(line, h.Value)
		line = append(line, '}')
	}
	return append(line, `]}`...)
}

// AppendDatum appends a key or value: JSON compacted, other UTF-8 as a string, other bytes as {"base64":"…"}.
func AppendDatum(line, datum []byte) []byte {
	switch {
	case datum == nil:
		return append(line, "null"...)
	case !utf8.Valid(datum):
		line = append(line, `{"base64":"`...)
		line = base64.StdEncoding.AppendEncode(line, datum)
		return append(line, `"}`...)
	case json.Valid(datum):
		compact := bytes.NewBuffer(line)
		json.Compact(compact, datum) // returns no error for valid JSON
		return compact.Bytes()
	}
	return appendText(line, string(datum))
}

// ParseLine returns the record of a line of [AppendLine] for a topic, with the line's key, value, headers and, if any,
// timestamp. A string becomes its text, unless AppendDatum would print that text without quotes.
func ParseLine(topic string, line []byte) (*kgo.Record, error) {
	var fields struct {
		// Topic, Partition and Offset of the printed record are ignored.
		Topic     json.RawMessage
		Partition json.RawMessage
		Offset    json.RawMessage
		Timestamp *int64
		Key       json.RawMessage
		Value     json.RawMessage
		Headers   []struct {
			Key   string
			Value json.RawMessage
		}
	}
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	err := d.Decode(&fields)
	switch {
	case err == nil && len(bytes.TrimSpace(line[d.InputOffset():])) > 0:
		err = errors.New("something follows the object")
	case err == nil && fields.Value == nil:
		return nil, errors.New("expected a value, or null")
	}
	if err != nil {
		return nil, fmt.Errorf("expected a record as culvert consume prints it: %w", err)
	}
	r := &kgo.Record{Topic: topic, Key: parseDatum(fields.Key), Value: parseDatum(fields.Value)}
	if fields.Timestamp != nil {
		r.Timestamp = time.UnixMilli(*fields.Timestamp)
	}
	for _, h := range fields.Headers {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: h.Key, Value: parseDatum(h.Value)})
	}
	return r, nil
}

// parseDatum returns the bytes from which [AppendDatum] makes datum, as far as it can tell.
func parseDatum(datum json.RawMessage) []byte {
	var text string
	var object map[string]any
	switch {
	case len(datum) == 0, string(datum) == "null":
		return nil
	case datum[0] == '"' && json.Unmarshal(datum, &text) == nil && !json.Valid([]byte(text)):
		return []byte(text)
	case datum[0] == '{' && json.Unmarshal(datum, &object) == nil && len(object) == 1:
		text, _ = object["base64"].(string)
		if data, err := base64.StdEncoding.DecodeString(text); err == nil && text != "" {
			return data
		}
	}
	return datum
}

func appendText(line []byte, s string) []byte {
	const hex = "0123456789abcdef"
	line = append(line, '"')
	for _, char := range s {
		switch {
		case char == '"' || char == '\\':
			line = append(line, '\\', byte(char))
		case char == '\n':
			line = append(line, `\n`...)
		case char == '\r':
			line = append(line, `\r`...)
		case char == '\t':
			line = append(line, `\t`...)
		case char < 0x20:
			line = append(line, '\\', 'u', '0', '0', hex[char>>4], hex[char&15])
		default:
			line = utf8.AppendRune(line, char)
		}
	}
	return append(line, '"')
}
