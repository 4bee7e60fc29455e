package kafka

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strconv"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kgo"
)

// AppendLine appends a record as one line of JSON without newline: topic, partition, offset, timestamp in ms, key,
// value, headers. Keys and values that are JSON stay JSON (compacted), other UTF-8 becomes a string, other bytes
// {"base64":"…"}.
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
	line = appendDatum(line, r.Key)
	line = append(line, `,"value":`...)
	line = appendDatum(line, r.Value)
	line = append(line, `,"headers":[`...)
	for i, h := range r.Headers {
		if i > 0 {
			line = append(line, ',')
		}
		line = append(line, `{"key":`...)
		line = appendText(line, h.Key)
		line = append(line, `,"value":`...)
		line = appendDatum(line, h.Value)
		line = append(line, '}')
	}
	return append(line, `]}`...)
}

func appendDatum(line, datum []byte) []byte {
	switch {
	case datum == nil:
		return append(line, "null"...)
	case !utf8.Valid(datum):
		line = append(line, `{"base64":"`...)
		line = base64.StdEncoding.AppendEncode(line, datum)
		return append(line, `"}`...)
	case json.Valid(datum):
		compact := bytes.NewBuffer(line)
		json.Compact(compact, datum) // valid: no error
		return compact.Bytes()
	}
	return appendText(line, string(datum))
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
