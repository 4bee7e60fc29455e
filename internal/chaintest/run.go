package chaintest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/culvert-project/culvert/internal/check"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/convert"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/internal/resolved"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// Options are the options of a test run.
type Options struct {
	Plugins  *plugin.Manager
	Worker   *config.Worker
	Registry *record.Registry
	Logger   *slog.Logger
}

// Result is the result of one test, or of a file without a test that can run.
type Result struct {
	// File and Line are the place of the test; Name is empty for a file.
	File    string
	Name    string
	Line    int
	Elapsed time.Duration
	// Failures are empty if the test passed.
	Failures config.Problems
}

// Run runs the tests of files in their order. It returns an error only if ctx has ended.
func Run(ctx context.Context, o Options, files []string) ([]Result, error) {
	var all []Result
	for _, path := range files {
		f, problems, err := readFile(path)
		if err != nil {
			problems = config.Problems{{File: path, Line: 1, Text: strings.TrimPrefix(err.Error(), path+": ")}}
		}
		if len(problems) > 0 {
			all = append(all, Result{File: path, Line: 1, Failures: problems})
			continue
		}
		base, problems := o.baseSettings(f)
		if len(problems) > 0 {
			all = append(all, Result{File: path, Line: max(f.connectorLine, 1), Failures: problems})
			continue
		}
		for i := range f.tests {
			t := &f.tests[i]
			began := time.Now()
			r := runner{Options: o, file: f, test: t}
			r.run(ctx, base)
			if err := ctx.Err(); err != nil {
				return all, err
			}
			all = append(all, Result{File: path, Name: t.name, Line: t.line, Elapsed: time.Since(began),
				Failures: r.failures})
		}
	}
	return all, nil
}

// baseSettings returns the settings of a file's connector, overridden by the settings of the file.
func (o *Options) baseSettings(f *file) ([]config.Entry, config.Problems) {
	if f.connector == "" {
		return f.settings, nil
	}
	path := f.connector
	if !filepath.IsAbs(path) {
		path = filepath.Join(filepath.Dir(f.path), path)
	}
	entries, problems, err := config.ReadFile(path)
	if err != nil {
		return nil, config.Problems{{File: f.path, Line: f.connectorLine, Setting: "connector", Text: err.Error()}}
	}
	if problems.Err() != nil {
		return nil, problems
	}
	return config.MergeLayers(entries, f.settings), nil
}

type runner struct {
	Options
	file     *file
	test     *test
	failures config.Problems
}

func (r *runner) fail(line int, format string, args ...any) {
	r.failures = append(r.failures, config.Problem{File: r.file.path, Line: line, Text: fmt.Sprintf(format, args...)})
}

func (r *runner) run(ctx context.Context, base []config.Entry) {
	// Only settings of the chain are used, because the secrets of a service are rarely available to tests.
	entries := slices.DeleteFunc(config.MergeLayers(base, r.test.settings),
		func(e config.Entry) bool { return !OfChain(e.Key) })
	written, problems := config.NewConnector(r.file.path, entries, r.Worker.Providers)
	defer func() { // failures, and messages of transforms in them, must not contain values of config providers
		for i := range r.failures {
			r.failures[i].Text = r.Worker.Redact(r.failures[i].Text)
		}
		runtime.KeepAlive(written) // its secrets are redacted only while it is in memory
	}()
	checker := check.Checker{Worker: r.Worker, Plugins: r.Plugins, Registry: r.Registry}
	c := checker.Resolver().Resolve(written)
	if problems.Err() == nil {
		problems = append(problems, checker.CheckStages(ctx, c)...)
	}
	problems = slices.DeleteFunc(problems, func(p config.Problem) bool { return p.Warning && !r.isOwn(p.Setting) })
	problems = append(problems, r.unusedSettings(written)...)
	switch {
	case r.test.refused != "" && len(problems) == 0:
		r.fail(r.test.line, "expected the settings to be refused with %q, found nothing wrong", r.test.refused)
	case r.test.refused != "":
		if !slices.ContainsFunc(problems, func(p config.Problem) bool {
			return strings.Contains(p.String(), r.test.refused)
		}) {
			r.fail(r.test.line, "expected the settings to be refused with %q, found\n%s", r.test.refused,
				joinProblems(problems))
		}
	case len(problems) > 0:
		r.failures = append(r.failures, problems...)
	case c.Text("transforms") == "":
		r.fail(r.test.line, "expected settings with transforms, found none")
	default:
		r.apply(ctx, c)
	}
}

// isOwn reports whether the test itself has a setting, so that a setting without effect is an error.
func (r *runner) isOwn(key string) bool {
	return slices.ContainsFunc(r.test.settings, func(e config.Entry) bool { return e.Key == key })
}

// unusedSettings returns problems of the test's own settings of transforms and predicates that are not in the chain.
func (r *runner) unusedSettings(c *config.Connector) (problems config.Problems) {
	for _, e := range r.test.settings {
		list, suffix, _ := strings.Cut(e.Key, ".")
		if suffix == "" || (list != "transforms" && list != "predicates") {
			continue
		}
		if !slices.ContainsFunc(config.List(c.Text(list)), func(alias string) bool {
			return strings.HasPrefix(suffix, alias+".")
		}) {
			problems = append(problems, config.Problem{File: e.File, Line: e.Line, Setting: e.Key,
				Text: "has no effect: " + list + " does not name " + strconv.Quote(strings.Split(suffix, ".")[0])})
		}
	}
	return problems
}

func joinProblems(problems config.Problems) string {
	var b strings.Builder
	for _, p := range problems {
		b.WriteString("  " + p.String() + "\n")
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// OfChain reports whether a setting belongs to the chain of a connector.
func OfChain(key string) bool {
	return key == "name" || key == "transforms" || key == "predicates" || strings.HasPrefix(key, "transforms.") ||
		strings.HasPrefix(key, "predicates.")
}

func (r *runner) apply(ctx context.Context, c *resolved.Connector) {
	chain, err := ChainOf(c).Open(ctx, c.Name, r.Logger)
	if err != nil {
		r.fail(r.test.line, "%v", err)
		return
	}
	defer chain.Close()
	b := &record.Batch{Registry: r.Registry}
	for i := range r.test.records {
		row, ok := r.newRow(ctx, b, &r.test.records[i])
		if !ok {
			return
		}
		b.Rows = append(b.Rows, row)
	}
	outcomes, err := chain.Run(ctx, b)
	if err != nil {
		r.fail(r.test.line, "%v", err)
		return
	}
	for i := range outcomes {
		in := &r.test.records[i]
		if outcomes[i].Fault == nil {
			r.compareResult(ctx, b, in, outcomes[i].Rows)
		} else {
			r.compareFault(in, &outcomes[i])
		}
	}
}

// newRow puts a record into a batch.
func (r *runner) newRow(ctx context.Context, b *record.Batch, in *input) (row wit.Row, ok bool) {
	row = wit.Row{Topic: b.TopicIndex(in.topic), Partition: int32(in.partition), Offset: in.offset,
		Timestamp: in.timestamp}
	var err error
	if row.Key, err = r.newConverter().Decode(ctx, in.topic, in.key, b); err != nil {
		r.fail(in.line, "key: %v", err)
		return row, false
	}
	if row.Value, err = r.newConverter().Decode(ctx, in.topic, in.value, b); err != nil {
		r.fail(in.line, "value: %v", err)
		return row, false
	}
	var list []connectdata.Header
	for _, h := range in.headers {
		d, err := r.newConverter().Decode(ctx, in.topic, h.value, b)
		if err != nil {
			r.fail(in.line, "header %s: %v", h.name, err)
			return row, false
		}
		converted := connectdata.Header{Name: h.name, Encoding: d.Encoding, Schema: d.Schema, Value: b.Bytes(d)}
		if d.Encoding == wit.Absent {
			converted.Encoding = wit.Schemaless
			converted.Value = []byte{connectdata.TagNull}
		}
		list = append(list, converted)
	}
	if len(list) > 0 {
		start := len(b.Data)
		b.Data = connectdata.AppendHeaders(b.Data, list)
		row.Headers = wit.ValueSlice{Encoding: wit.Raw, Start: uint32(start), Size: uint32(len(b.Data) - start)}
	}
	return row, true
}

func (r *runner) newConverter() convert.Converter { return newConverter(r.Registry) }

// newConverter returns the converter for values in files: with schemas, nulls unchanged, decimals as numbers.
func newConverter(registry *record.Registry) convert.Converter {
	c, err := convert.New(convert.ClassJSON, map[string]string{"replace.null.with.default": "false",
		"decimal.format": "NUMERIC"}, convert.Options{Schemas: registry})
	if err != nil { // these settings are good
		panic(err)
	}
	return c
}

func (r *runner) compareFault(in *input, o *Outcome) {
	f := o.Fault
	actual := fmt.Sprintf("an error of transform %s: %s: %s", o.Stage, f.ErrorClass, f.Error.Message)
	want := &in.becomes
	switch {
	case !want.fails:
		r.fail(want.line, "expected %s, found %s", want, actual)
	case !strings.Contains(f.Error.Message, want.message):
		r.fail(want.line, "expected an error with %q, found %s", want.message, actual)
	case want.stage != "" && want.stage != o.Stage:
		r.fail(want.line, "expected an error of transform %s, found %s", want.stage, actual)
	case want.class != "" && want.class != f.ErrorClass && !strings.HasSuffix(f.ErrorClass, "."+want.class):
		r.fail(want.line, "expected an error of class %s, found %s", want.class, actual)
	}
}

// String describes the expected result in short.
func (e *expectedResult) String() string {
	switch {
	case e.isDropped:
		return "the record to be dropped"
	case e.fails:
		return fmt.Sprintf("an error with %q", e.message)
	case len(e.records) == 1:
		return "a record"
	}
	return fmt.Sprintf("%d records", len(e.records))
}

func (r *runner) compareResult(ctx context.Context, b *record.Batch, in *input, rows []wit.Row) {
	want := &in.becomes
	if want.isDropped && len(rows) == 0 {
		return
	}
	if want.fails || want.isDropped || len(want.records) != len(rows) {
		var found strings.Builder
		switch len(rows) {
		case 0:
			found.WriteString("it dropped")
		case 1:
			found.WriteString("a record")
		default:
			fmt.Fprintf(&found, "%d records", len(rows))
		}
		for i, row := range rows {
			if i == 3 {
				found.WriteString("\n  and more")
				break
			}
			key, keyErr := WriteValue(ctx, r.Registry, b, row.Key)
			value, err := WriteValue(ctx, r.Registry, b, row.Value)
			if err = errors.Join(keyErr, err); err != nil {
				fmt.Fprintf(&found, "\n  %v", err)
			} else {
				fmt.Fprintf(&found, "\n  topic %s, key %s, value %s", b.Topics[row.Topic], key.short(), value.short())
			}
		}
		r.fail(want.line, "expected %s, found %s", want, found.String())
		return
	}
	for i := range rows {
		r.compareRecord(ctx, b, &want.records[i], &rows[i])
	}
}

func (r *runner) compareRecord(ctx context.Context, b *record.Batch, want *expectedRecord, row *wit.Row) {
	if topic := b.Topics[row.Topic]; want.topic != nil && *want.topic != topic {
		r.fail(want.line, "topic: expected %s, found %s", *want.topic, topic)
	}
	r.compareValue(ctx, b, "key", want.key, row.Key)
	r.compareValue(ctx, b, "value", want.value, row.Value)
	if want.ignoresHeaders {
		return
	}
	var headers []connectdata.Header
	if row.Headers.Encoding != wit.Absent {
		var err error
		if headers, err = connectdata.Headers(nil, b.Bytes(row.Headers)); err != nil {
			r.fail(want.line, "headers: %v", err)
			return
		}
	}
	var names, expectedNames []string
	for _, h := range headers {
		names = append(names, h.Name)
	}
	for _, h := range want.headers {
		expectedNames = append(expectedNames, h.name)
	}
	if !slices.Equal(names, expectedNames) {
		r.fail(want.line, "headers: expected %q, found %q", expectedNames, names)
		return
	}
	for i := range headers {
		r.compareValue(ctx, b, "header "+headers[i].Name, want.headers[i].value, Header(b, &headers[i]))
	}
}

func (r *runner) compareValue(ctx context.Context, b *record.Batch, what string, want *expectedValue,
	d wit.ValueSlice) {
	if want == nil {
		return
	}
	written, err := WriteValue(ctx, r.Registry, b, d)
	if err != nil {
		r.fail(want.line, "%s: %v", what, err)
		return
	}
	wantJSON := want.json
	foundJSON := written.Payload
	if want.isEnvelope {
		// The value passes through the same code as the record's own, so that both are formatted alike.
		other := &record.Batch{Registry: r.Registry}
		d, err := r.newConverter().Decode(ctx, "t", want.json, other)
		if err != nil {
			r.fail(want.line, "%s: expected a schema with a value of it: %v", what, err)
			return
		}
		made, err := WriteValue(ctx, r.Registry, other, d)
		if err != nil {
			r.fail(want.line, "%s: %v", what, err)
			return
		}
		wantJSON = made.Envelope
		foundJSON = written.Envelope
	}
	wantText, err := canonicalJSON(wantJSON)
	if err == nil {
		var foundText string
		if foundText, err = canonicalJSON(foundJSON); err == nil && wantText != foundText {
			r.fail(want.line, "%s (- expected, + found):\n%s", what, difference(wantText, foundText))
		}
	}
	if err != nil {
		r.fail(want.line, "%s: %v", what, err)
	}
}

// Written is a value in the form of test files: an envelope in JSON, and its content.
type Written struct {
	Envelope []byte `json:"-"`
	Schema   json.RawMessage
	Payload  json.RawMessage
}

// shownBytes is the maximum length of a value that only accompanies a message, in bytes.
const shownBytes = 300

func (w *Written) short() string {
	if len(w.Payload) > shownBytes {
		return strings.ToValidUTF8(string(w.Payload[:shownBytes]), "") + "…"
	}
	return string(w.Payload)
}

// WriteValue returns a value as the JSON converter writes it. Dates without a schema, which that rejects, become
// milliseconds since 1970.
func WriteValue(ctx context.Context, registry *record.Registry, b *record.Batch,
	d wit.ValueSlice) (v Written, err error) {
	if d.Encoding == wit.Schemaless {
		tree, _, err := connectdata.ReadSchemaless(b.Bytes(d))
		if err != nil {
			return v, err
		}
		if tree, dates := withoutDates(tree); dates {
			start := len(b.Data)
			if b.Data, err = connectdata.AppendSchemaless(b.Data, tree); err != nil {
				return v, err
			}
			d = wit.ValueSlice{Encoding: wit.Schemaless, Start: uint32(start), Size: uint32(len(b.Data) - start)}
		}
	}
	out, null, err := newConverter(registry).Encode(ctx, nil, math.MaxInt32, "t", b, d)
	if err != nil {
		return v, fmt.Errorf("the JSON converter refuses what came out: %w", err)
	}
	v.Envelope = out
	if null {
		v.Envelope = []byte(`{"schema":null,"payload":null}`)
	}
	err = json.Unmarshal(v.Envelope, &v)
	return v, err
}

// Header returns a header's value as a value of its own, whose bytes it adds to the batch.
func Header(b *record.Batch, h *connectdata.Header) wit.ValueSlice {
	d := wit.ValueSlice{Encoding: h.Encoding, Schema: h.Schema, Start: uint32(len(b.Data)), Size: uint32(len(h.Value))}
	b.Data = append(b.Data, h.Value...)
	if h.Encoding == wit.Schemaless && len(h.Value) > 0 && h.Value[0] == connectdata.TagNull {
		return wit.ValueSlice{}
	}
	return d
}

// withoutDates returns a schemaless value with milliseconds instead of dates, and whether it had any.
func withoutDates(v any) (out any, dates bool) {
	switch v := v.(type) {
	case connectdata.Instant:
		return int64(v), true
	case connectdata.List:
		for i := range v {
			converted, hadDates := withoutDates(v[i])
			v[i] = converted
			dates = dates || hadDates
		}
	case connectdata.Map:
		for i := range v {
			converted, hadDates := withoutDates(v[i].Value)
			v[i].Value = converted
			dates = dates || hadDates
		}
	}
	return v, dates
}
