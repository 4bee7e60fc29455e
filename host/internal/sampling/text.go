package sampling

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/culvert-project/culvert/host/chaintest"
	"github.com/culvert-project/culvert/host/record"
	"github.com/culvert-project/culvert/host/rest"
	"github.com/culvert-project/culvert/host/shown"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

const (
	// maxText is how many bytes a key, a value or a schema has as text.
	maxText = 64 << 10
	// maxRecords is how many records of a row are shown, maxHeaders how many headers of a record.
	maxRecords, maxHeaders = 100, 100
	// indentLevels is the level from which on values are not moved further to the right: else what is deep would be
	// nothing but blanks.
	indentLevels = 32
)

// line is a name, or what a plugin says, in one line.
func line(text string) string { return shown.Line(text) }

// writer writes records as text.
type writer struct {
	ctx      context.Context
	registry *record.Registry
	strike   func(string) string
	shape    bool
	left     *int // bytes of text that it may write
}

// records are those of a batch, the last one cut where there are more.
func (w *writer) records(b *record.Batch) []rest.SampledRecord {
	all := []rest.SampledRecord{}
	for i := range b.Rows[:min(len(b.Rows), maxRecords)] {
		all = append(all, w.record(b, &b.Rows[i]))
	}
	if len(b.Rows) > maxRecords {
		all[maxRecords-1].Cut = true
	}
	return all
}

// record is a row of a batch, whose data grows.
func (w *writer) record(b *record.Batch, row *wit.Row) (r rest.SampledRecord) {
	r = rest.SampledRecord{Topic: line(w.strike(b.Topics[row.Topic])), Headers: []rest.SampledHeader{}}
	var cut [3]bool
	r.Key, r.KeySchema, cut[0] = w.value(b, row.Key)
	r.Value, r.ValueSchema, cut[1] = w.value(b, row.Value)
	if row.Headers.Form != wit.Absent {
		headers, err := datum.Headers(nil, b.Bytes(row.Headers))
		cut[2] = err != nil || len(headers) > maxHeaders
		for i := range headers[:min(len(headers), maxHeaders)] {
			text, _, short := w.value(b, chaintest.Header(b, &headers[i]))
			cut[2] = cut[2] || short
			r.Headers = append(r.Headers, rest.SampledHeader{Name: line(w.strike(headers[i].Name)), Value: text})
		}
	}
	r.Cut = cut != [3]bool{}
	return r
}

// value is a value with its schema, "" for none.
func (w *writer) value(b *record.Batch, d wit.Datum) (text, schema string, cut bool) {
	envelope, payload, err := chaintest.Written(w.ctx, w.registry, b, d)
	if err != nil {
		why := "it cannot be shown as JSON"
		if !w.shape { // the text may have values
			why += ": " + err.Error()
		}
		return string(quoted(line(w.strike(why)))), "", true
	}
	if text, cut = w.json(payload, w.shape); d.Form != wit.Structured {
		return text, "", cut
	}
	var parts struct{ Schema json.RawMessage }
	_ = json.Unmarshal(envelope, &parts) // which was just written
	schema, short := w.json(parts.Schema, false)
	return text, schema, cut || short
}

// level is an object or an array that is being written.
type level struct {
	closes byte
	items  int
}

// json is a document indented, with types and sizes in the place of values for a shape. One that is cut is JSON still.
func (w *writer) json(document []byte, shape bool) (text string, cut bool) {
	most := min(maxText, *w.left)
	var out []byte
	var open []level
	// room is how much may be written so that what is open can be closed.
	room := func() int { return most - len(out) - len(open) - len(": null") }
	named := false // the name of a member was written, and its value is not
	d := json.NewDecoder(bytes.NewReader(document))
	d.UseNumber()
	for {
		token, err := d.Token()
		if err != nil {
			cut = !errors.Is(err, io.EOF)
			break
		}
		if end, ok := token.(json.Delim); ok && (end == '}' || end == ']') {
			last := open[len(open)-1]
			if open = open[:len(open)-1]; last.items > 0 && room() > 2*indentLevels {
				out = indent(out, len(open))
			}
			out = append(out, last.closes)
			continue
		}
		before, spare := len(out), room()-2*indentLevels-len(",\n}")
		if spare < len(`"string(1234567890)"`) {
			cut = true
			break
		}
		var top *level
		if len(open) > 0 {
			top = &open[len(open)-1]
		}
		isName := top != nil && top.closes == '}' && !named
		switch {
		case named:
			out = append(out, ": "...)
		case top != nil:
			if top.items++; top.items > 1 {
				out = append(out, ',')
			}
			out = indent(out, len(open))
		}
		if start, ok := token.(json.Delim); ok {
			open = append(open, level{closes: byte(start) + 2})
			out, named = append(out, byte(start)), false
			continue
		}
		piece, short := w.token(token, shape && !isName, spare)
		if short && isName { // half a name says nothing
			out, cut = out[:before], true
			break
		}
		out, named = append(out, piece...), isName
		if cut = short; cut {
			break
		}
	}
	if named {
		out = append(out, ": null"...)
	}
	for i := len(open) - 1; i >= 0; i-- {
		out = append(out, open[i].closes)
	}
	if len(out) == 0 {
		out = []byte("null")
	}
	*w.left -= min(len(out), *w.left)
	return string(out), cut
}

func indent(out []byte, depth int) []byte {
	return append(append(out, '\n'), strings.Repeat("  ", min(depth, indentLevels))...)
}

// token is a name, or a value that holds no others, of at most so many bytes; short: it is cut.
func (w *writer) token(token json.Token, shape bool, room int) (piece []byte, short bool) {
	switch v := token.(type) {
	case string:
		if shape {
			return fmt.Appendf(nil, `"string(%d)"`, utf8.RuneCountInString(v)), false
		}
		return within(w.strike(v), room)
	case json.Number:
		if shape {
			return []byte(`"number"`), false
		}
		if struck := w.strike(v.String()); struck != v.String() || len(struck) > room {
			return within(struck, room)
		}
		return []byte(v), false
	case bool:
		if shape {
			return []byte(`"boolean"`), false
		}
		return fmt.Append(nil, v), false
	}
	return []byte("null"), false
}

// within is a text as JSON of at most so many bytes, from 2 on, cut between characters.
func within(text string, room int) (piece []byte, short bool) {
	if len(text) > room {
		text, short = strings.ToValidUTF8(text[:room], ""), true
	}
	for piece = quoted(text); len(piece) > room; piece = quoted(text) {
		text, short = strings.ToValidUTF8(text[:len(text)*room/len(piece)], ""), true
	}
	return piece, short
}

// quoted is a text as JSON, in which < > and & stand for themselves.
func quoted(text string) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(text) // a text is always JSON
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// Shaped is a document with types and sizes in the place of values, cut where it is long.
func Shaped(document []byte) json.RawMessage {
	left := maxText
	w := writer{left: &left}
	text, _ := w.json(document, true)
	return json.RawMessage(text)
}
