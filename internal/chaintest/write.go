package chaintest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/internal/secret"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// Writer writes a file with one test: records and their results.
type Writer struct {
	Registry *record.Registry
	// Strike removes secrets from a text.
	Strike func(string) string

	isRedacted bool // Strike has removed something
	records    []writtenRecord
	schemas    map[string]*yaml.Node // by their text
}

// writtenRecord is an input or a result in the file.
type writtenRecord struct {
	Topic     string          `yaml:"topic"`
	Partition *int32          `yaml:"partition,omitempty"`
	Offset    *int64          `yaml:"offset,omitempty"`
	Timestamp *int64          `yaml:"timestamp,omitempty"`
	Key       *yaml.Node      `yaml:"key"`
	Value     *yaml.Node      `yaml:"value"`
	Headers   []writtenHeader `yaml:"headers"`
	Becomes   any             `yaml:"becomes,omitempty"`
}

type writtenHeader struct {
	Name  string     `yaml:"name"`
	Value *yaml.Node `yaml:"value"`
}

// File returns the file, with the settings of the chain.
func (w *Writer) File(name string, settings map[string]string) ([]byte, error) {
	type test struct {
		Name    string          `yaml:"name"`
		Records []writtenRecord `yaml:"records"`
	}
	return yaml.Marshal(struct {
		Settings map[string]string `yaml:"settings"`
		Tests    []test            `yaml:"tests"`
	}{Settings: settings, Tests: []test{{Name: name, Records: w.records}}})
}

// refusal is the error of a stage for a record.
type refusal struct{ Error, Stage, Class string }

// Add adds a record, a row of a batch, with its result in another batch. The data of both batches grows. It returns an
// error if a secret had to be removed, because the rest would be no test of the record.
func (w *Writer) Add(ctx context.Context, input, output *record.Batch, o *Outcome) error {
	row := &input.Rows[0]
	r, err := w.newRecord(ctx, input, row)
	if err != nil {
		return err
	}
	if row.Partition >= 0 {
		r.Partition = &row.Partition
	}
	if row.Offset >= 0 {
		r.Offset = &row.Offset
	}
	if row.Timestamp >= 0 {
		r.Timestamp = &row.Timestamp
	}
	var becomes []writtenRecord
	for i := range o.Rows {
		result, err := w.newRecord(ctx, output, &o.Rows[i])
		if err != nil {
			return err
		}
		becomes = append(becomes, result)
	}
	switch r.Becomes = becomes; {
	case o.Fault != nil:
		r.Becomes = refusal{Error: w.redact(o.Fault.Error.Message), Stage: o.Stage, Class: o.Fault.ErrorClass}
	case becomes == nil:
		r.Becomes = "dropped"
	}
	if w.isRedacted {
		return errors.New("it holds what a config provider gave, which is not shown")
	}
	w.records = append(w.records, r)
	return nil
}

func (w *Writer) newRecord(ctx context.Context, b *record.Batch, row *wit.Row) (r writtenRecord, err error) {
	r = writtenRecord{Topic: w.redact(b.Topics[row.Topic]), Headers: []writtenHeader{}}
	if r.Key, err = w.newValue(ctx, b, row.Key); err != nil {
		return r, fmt.Errorf("key: %w", err)
	}
	if r.Value, err = w.newValue(ctx, b, row.Value); err != nil {
		return r, fmt.Errorf("value: %w", err)
	}
	var headers []connectdata.Header
	if row.Headers.Encoding != wit.Absent {
		if headers, err = connectdata.Headers(nil, b.Bytes(row.Headers)); err != nil {
			return r, fmt.Errorf("headers: %w", err)
		}
	}
	for i := range headers {
		value, err := w.newValue(ctx, b, Header(b, &headers[i]))
		if err != nil {
			return r, fmt.Errorf("header %s: %w", headers[i].Name, err)
		}
		r.Headers = append(r.Headers, writtenHeader{Name: w.redact(headers[i].Name), Value: value})
	}
	return r, nil
}

// newValue returns an envelope, whose schema is an anchor's alias if the file has it already, or null.
func (w *Writer) newValue(ctx context.Context, b *record.Batch, d wit.ValueSlice) (*yaml.Node, error) {
	v, err := WriteValue(ctx, w.Registry, b, d)
	if err != nil {
		return nil, err
	}
	if d.Encoding == wit.Absent {
		v.Envelope = []byte("null")
	}
	document := json.NewDecoder(strings.NewReader(secret.RedactJSON(string(v.Envelope), w.redact)))
	document.UseNumber()
	value, err := readNode(document)
	if err != nil || d.Encoding != wit.WithSchema {
		return value, err
	}
	schema := &value.Content[1] // the first member's
	if earlier := w.schemas[string(v.Schema)]; earlier != nil {
		*schema = &yaml.Node{Kind: yaml.AliasNode, Value: earlier.Anchor, Alias: earlier}
		return value, nil
	}
	if w.schemas == nil {
		w.schemas = map[string]*yaml.Node{}
	}
	w.schemas[string(v.Schema)] = *schema
	(*schema).Anchor = fmt.Sprintf("schema%d", len(w.schemas))
	(*schema).Style = yaml.FlowStyle
	return value, nil
}

func (w *Writer) redact(text string) string {
	shown := w.Strike(text)
	w.isRedacted = w.isRedacted || shown != text
	return shown
}

// readNode returns the next value of a JSON document as a node.
func readNode(d *json.Decoder) (*yaml.Node, error) {
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	n := &yaml.Node{Kind: yaml.ScalarNode}
	switch v := token.(type) {
	case string:
		n.SetString(v)
	case json.Number:
		n.Value = v.String()
	case json.Delim:
		n.Kind = map[json.Delim]yaml.Kind{'{': yaml.MappingNode, '[': yaml.SequenceNode}[v]
		for d.More() { // names of members are texts among the others
			item, err := readNode(d)
			if err != nil {
				return nil, err
			}
			n.Content = append(n.Content, item)
		}
		_, err = d.Token()
	default:
		n.Value = map[any]string{true: "true", false: "false", nil: "null"}[v]
	}
	return n, err
}
