package sampling

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/culvert-project/culvert/internal/chaintest"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/internal/rest"
	"github.com/culvert-project/culvert/internal/shown"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

const (
	// maxText bounds the text of a key, a value or a schema.
	maxText                = 64 << 10
	maxRecords, maxHeaders = 100, 100
)

func line(s string) string { return shown.Line(s) }

type writer struct {
	ctx       context.Context
	registry  *record.Registry
	redact    func(string) string
	shape     bool // whether to write types and sizes instead of values
	remaining int  // bytes of text that it may write
}

// records renders the first maxRecords of rows.
func (w *writer) records(b *record.Batch, rows []wit.Row) []rest.SampledRecord {
	list := []rest.SampledRecord{}
	for i := range rows[:min(len(rows), maxRecords)] {
		list = append(list, w.record(b, &rows[i]))
	}
	if len(rows) > maxRecords {
		list[maxRecords-1].Cut = true
	}
	return list
}

// record renders a row with the first maxHeaders of its headers.
func (w *writer) record(b *record.Batch, row *wit.Row) (r rest.SampledRecord) {
	r = rest.SampledRecord{Topic: line(w.redact(b.Topics[row.Topic])), Headers: []rest.SampledHeader{}}
	var cut [3]bool // key, value, headers
	r.Key, r.KeySchema, cut[0] = w.value(b, row.Key)
	r.Value, r.ValueSchema, cut[1] = w.value(b, row.Value)
	if row.Headers.Encoding != wit.Absent {
		headers, err := connectdata.Headers(nil, b.Bytes(row.Headers))
		cut[2] = err != nil || len(headers) > maxHeaders
		for i := range headers[:min(len(headers), maxHeaders)] {
			value, _, isCut := w.value(b, chaintest.Header(b, &headers[i]))
			cut[2] = cut[2] || isCut
			r.Headers = append(r.Headers, rest.SampledHeader{Name: line(w.redact(headers[i].Name)), Value: value})
		}
	}
	r.Cut = cut != [3]bool{}
	return r
}

// value renders a value as JSON with its schema, or an error instead of the text. isCut: text or schema is incomplete.
func (w *writer) value(b *record.Batch, slice wit.ValueSlice) (text, schema string, isCut bool) {
	v, err := chaintest.WriteValue(w.ctx, w.registry, b, slice)
	if err != nil {
		problem := "it cannot be shown as JSON"
		if !w.shape { // the error may contain values
			problem += ": " + err.Error()
		}
		return line(w.redact(problem)), "", true
	}
	text, isCut = w.json(v.Payload, w.shape)
	if slice.Encoding != wit.WithSchema {
		return text, "", isCut
	}
	schema, isSchemaCut := w.json(v.Schema, false)
	return text, schema, isCut || isSchemaCut
}

// json indents a document, with types and sizes instead of values for a shape, and truncates it.
func (w *writer) json(document []byte, shape bool) (text string, isCut bool) {
	p := printer{tokens: json.NewDecoder(bytes.NewReader(document)), redact: w.redact, shape: shape,
		limit: min(maxText, w.remaining)}
	p.tokens.UseNumber()
	err := p.value(0)
	text = string(p.out)
	if isCut = err != nil || len(text) > p.limit; isCut {
		text = strings.ToValidUTF8(text[:min(len(text), p.limit)], "")
	}
	w.remaining -= len(text)
	return text, isCut
}

// printer writes a document until it exceeds limit.
type printer struct {
	tokens *json.Decoder
	redact func(string) string
	shape  bool
	limit  int
	out    []byte
}

var errTooLong = errors.New("the document has more bytes than are shown")

func (p *printer) value(depth int) error {
	if len(p.out) > p.limit {
		return errTooLong
	}
	token, err := p.tokens.Token()
	if err != nil {
		return err
	}
	bracket, ok := token.(json.Delim)
	if !ok {
		p.scalar(token, p.shape)
		return nil
	}
	p.out = append(p.out, byte(bracket))
	n := 0
	for ; p.tokens.More(); n++ {
		if n > 0 {
			p.out = append(p.out, ',')
		}
		p.indent(depth + 1)
		if bracket == '{' {
			name, err := p.tokens.Token()
			if err != nil {
				return err
			}
			p.scalar(name, false)
			p.out = append(p.out, ": "...)
		}
		if err := p.value(depth + 1); err != nil {
			return err
		}
	}
	if n > 0 {
		p.indent(depth)
	}
	p.out = append(p.out, byte(bracket)+2) // in ASCII } is { + 2, and ] is [ + 2
	_, err = p.tokens.Token()
	return err
}

// indent starts a line; depth is bounded, since deep documents would be mostly blanks.
func (p *printer) indent(depth int) {
	p.out = append(append(p.out, '\n'), strings.Repeat("  ", min(depth, 32))...)
}

// scalar writes a name, or a value without members.
func (p *printer) scalar(token json.Token, shape bool) {
	switch v := token.(type) {
	case string:
		if shape {
			v = fmt.Sprintf("string(%d)", utf8.RuneCountInString(v))
		}
		p.text(p.redact(v))
	case json.Number:
		redacted := p.redact(v.String())
		if shape {
			p.text("number")
		} else if redacted != v.String() {
			p.text(redacted)
		} else {
			p.out = append(p.out, v...)
		}
	case bool:
		if shape {
			p.text("boolean")
		} else {
			p.out = fmt.Append(p.out, v)
		}
	default:
		p.out = append(p.out, "null"...)
	}
}

// text writes a JSON string without escaping < > and &.
func (p *printer) text(text string) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(text) // a string cannot fail
	p.out = append(p.out, bytes.TrimSuffix(b.Bytes(), []byte("\n"))...)
}
