package chaintest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/host/record"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

// Value reads a document of JSON as a value without a schema.
func Value(ctx context.Context, b *record.Batch, document []byte) (wit.Datum, error) {
	envelope := append(append([]byte(`{"schema":null,"payload":`), document...), '}')
	return converter(b.Registry).Decode(ctx, "t", envelope, b)
}

// File writes a file of one test: settings, then records with what became of them.
type File struct {
	registry *record.Registry
	strike   func(string) string
	out      bytes.Buffer
	schemas  map[string]int // numbers of those that were written, by their text
	struck   bool
}

// NewFile begins a file. strike leaves out of a text what must not be shown: see [File.Struck].
func NewFile(registry *record.Registry, strike func(string) string, settings map[string]string, name string) *File {
	f := &File{registry: registry, schemas: map[string]int{}}
	f.strike = func(text string) string {
		shown := strike(text)
		f.struck = f.struck || shown != text
		return shown
	}
	f.out.WriteString("settings:\n")
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		fmt.Fprintf(&f.out, "  %s: %s\n", yamlText(key), yamlText(settings[key]))
	}
	fmt.Fprintf(&f.out, "tests:\n- name: %s\n  records:\n", yamlText(name))
	return f
}

// Bytes are the file.
func (f *File) Bytes() []byte { return f.out.Bytes() }

// Struck tells whether something was left out of the records that were written: what is left is no test of them.
func (f *File) Struck() bool { return f.struck }

// Came writes a record as it comes in: the row of a batch, whose data grows.
func (f *File) Came(ctx context.Context, b *record.Batch, row *wit.Row) error {
	f.out.WriteString("  - ")
	if err := f.record(ctx, b, row, "    "); err != nil {
		return err
	}
	for _, n := range []struct {
		name  string
		value int64
	}{{"partition", int64(row.Partition)}, {"offset", row.Offset}, {"timestamp", row.Timestamp}} {
		if n.value >= 0 {
			fmt.Fprintf(&f.out, "    %s: %d\n", n.name, n.value)
		}
	}
	return nil
}

// Fails writes that the record before is refused by a stage.
func (f *File) Fails(stage, class, message string) {
	fmt.Fprintf(&f.out, "    becomes: {error: %s, stage: %s, class: %s}\n", yamlText(f.strike(message)),
		yamlText(stage), yamlText(class))
}

// Becomes writes the records that the record before becomes, all rows of a batch.
func (f *File) Becomes(ctx context.Context, b *record.Batch) error {
	if len(b.Rows) == 0 {
		f.out.WriteString("    becomes: dropped\n")
		return nil
	}
	f.out.WriteString("    becomes:\n")
	for i := range b.Rows {
		f.out.WriteString("    - ")
		if err := f.record(ctx, b, &b.Rows[i], "      "); err != nil {
			return err
		}
	}
	return nil
}

// record writes topic, key, value and headers, the first of them behind what stands in the line already.
func (f *File) record(ctx context.Context, b *record.Batch, row *wit.Row, indent string) error {
	fmt.Fprintf(&f.out, "topic: %s\n", yamlText(f.strike(b.Topics[row.Topic])))
	for _, part := range []struct {
		name string
		of   wit.Datum
	}{{"key", row.Key}, {"value", row.Value}} {
		f.out.WriteString(indent + part.name + ": ")
		if err := f.value(ctx, b, part.of); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
		f.out.WriteByte('\n')
	}
	var headers []datum.Header
	if row.Headers.Form != wit.Absent {
		var err error
		if headers, err = datum.Headers(nil, b.Bytes(row.Headers)); err != nil {
			return fmt.Errorf("headers: %w", err)
		}
	}
	f.out.WriteString(indent + "headers: [")
	for i := range headers {
		if i > 0 {
			f.out.WriteString(", ")
		}
		fmt.Fprintf(&f.out, "{name: %s, value: ", yamlText(f.strike(headers[i].Name)))
		if err := f.value(ctx, b, Header(b, &headers[i])); err != nil {
			return fmt.Errorf("header %s: %w", headers[i].Name, err)
		}
		f.out.WriteByte('}')
	}
	f.out.WriteString("]\n")
	return nil
}

// value writes an envelope, in which a schema that stands in the file already is named; null for none.
func (f *File) value(ctx context.Context, b *record.Batch, d wit.Datum) error {
	envelope, payload, err := Written(ctx, f.registry, b, d)
	if err != nil {
		return err
	}
	if d.Form == wit.Absent {
		f.out.WriteString("null")
		return nil
	}
	var parts struct{ Schema json.RawMessage }
	if err := json.Unmarshal(envelope, &parts); err != nil {
		return err
	}
	f.out.WriteString("{schema: ")
	switch n, known := f.schemas[string(parts.Schema)]; {
	case string(parts.Schema) == "null":
		f.out.WriteString("null")
	case known:
		fmt.Fprintf(&f.out, "*s%d", n)
	default:
		n = len(f.schemas) + 1
		f.schemas[string(parts.Schema)] = n
		fmt.Fprintf(&f.out, "&s%d ", n)
		if err := f.json(parts.Schema); err != nil {
			return err
		}
	}
	f.out.WriteString(", payload: ")
	if err := f.json(payload); err != nil {
		return err
	}
	f.out.WriteByte('}')
	return nil
}

// json writes a document in the flow style of YAML: names are marked, since YAML takes no long ones otherwise.
func (f *File) json(document []byte) error {
	d := json.NewDecoder(bytes.NewReader(document))
	d.UseNumber()
	var open []json.Delim
	name, first := false, true
	for d.More() || len(open) > 0 {
		token, err := d.Token()
		if err != nil {
			return err
		}
		delim, isDelim := token.(json.Delim)
		if isDelim && (delim == '}' || delim == ']') {
			f.out.WriteString(delim.String())
			open, first, name = open[:len(open)-1], false, false
			continue
		}
		isName := len(open) > 0 && open[len(open)-1] == '{' && !name
		switch {
		case name:
			f.out.WriteString(": ")
		case !first:
			f.out.WriteString(", ")
		}
		if isName {
			f.out.WriteString("? ")
		}
		name, first = isName, isDelim
		switch v := token.(type) {
		case json.Delim:
			open = append(open, v)
			f.out.WriteString(v.String())
		case string:
			f.out.WriteString(yamlText(f.strike(v)))
		case json.Number:
			f.out.WriteString(v.String())
		default:
			data, _ := json.Marshal(v) // true, false and null
			f.out.Write(data)
		}
	}
	return nil
}

// yamlText is a text in quotes. YAML takes no control characters, some of which JSON leaves as they are.
func yamlText(text string) string {
	var b strings.Builder
	for _, r := range string(quote(nil, text)) {
		if r >= 0x7f && r < 0xa0 || r == 0xfeff || r >= 0xfffe && r <= 0xffff {
			fmt.Fprintf(&b, `\u%04x`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}
