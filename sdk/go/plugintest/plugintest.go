// Package plugintest tests a plugin natively, without a host. [RunTransform] runs records through a transform,
// [RunSource] runs a source over recorded responses.
//
// A golden file begins with the configuration: a line [class], its settings as name=value lines and an empty line. A
// line of dashes separates the input from the expected output. With the flag -update the tests write the output.
package plugintest

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/culvert-project/culvert/wit"
)

var update = flag.Bool("update", false, "write the expected halves of golden files again")

const separator = "-----\n"

// runGolden calls f with the input of each matching file and compares the result with the expected output.
func runGolden(t *testing.T, pattern string, f func(t *testing.T, stages []wit.Stage, input string) string) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden file matches %s (%v)", pattern, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), filepath.Ext(file)), func(t *testing.T) {
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			input, want, hasSeparator := strings.Cut(string(content), "\n"+separator)
			if !hasSeparator && !*update {
				t.Fatalf("%s: expected a line of dashes between input and output", file)
			}
			stages, body := parseConfiguration(t, input+"\n")
			got := f(t, stages, body)
			if *update {
				if err := os.WriteFile(file, []byte(input+"\n"+separator+got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(got, "\n")); diff != "" {
				t.Errorf("%s: expected (-), found (+):\n%s", file, diff)
			}
		})
	}
}

// parseConfiguration reads the stages at the start of an input.
func parseConfiguration(t *testing.T, input string) (stages []wit.Stage, body string) {
	t.Helper()
	head, body, _ := strings.Cut(input, "\n\n")
	for _, line := range strings.Split(head, "\n") {
		class, isClass := strings.CutPrefix(line, "[")
		switch key, value, ok := strings.Cut(line, "="); {
		case isClass:
			stages = append(stages, wit.Stage{Component: strings.TrimSuffix(class, "]")})
		case ok && len(stages) > 0:
			s := &stages[len(stages)-1]
			s.Settings = append(s.Settings, wit.Setting{Name: strings.TrimSpace(key), Value: strings.TrimSpace(value)})
		case strings.TrimSpace(line) != "":
			t.Fatalf("configuration: expected [class] or name=value, found %q", line)
		}
	}
	return stages, body
}

// Value is a key or value as package connectdata reads it. A nil Schema means schemaless; the zero Value is absent.
type Value struct {
	Schema []wit.SchemaNode
	Data   any
}

// Header is a record header. Raw is set for a header that no converter has read; Value is then unused.
type Header struct {
	Name  string
	Value Value
	Raw   []byte
}

// Record is an input or a result of a transform.
type Record struct {
	Topic     string
	Partition int32
	Offset    int64
	Timestamp int64
	Key       Value
	Value     Value
	Headers   []Header
}

// Error is the error of a record: its message, its class in Kafka Connect and the index of the stage that failed.
type Error struct {
	Message string
	Class   string
	Stage   uint32
}

// Result is the result of one record: the records that replace it, or an error. It has neither if the record was
// dropped.
type Result struct {
	Records []Record
	Error   *Error
}

// RunTransform runs records through a chain of stages of the plugin and returns one result for each. It runs them in
// one batch and then one by one, and fails the test if the results differ.
func RunTransform(t *testing.T, p wit.Transform, stages []wit.Stage, records ...Record) []Result {
	t.Helper()
	context, err := p.Prepare(stages)
	if err != nil {
		t.Fatalf("prepare: %v", err)
	}
	b := newBatch()
	for i, r := range records {
		if err := b.add(r); err != nil {
			t.Fatalf("record %d: %v", i, err)
		}
	}
	batched := make([]Result, len(records))
	single := make([]Result, len(records))
	b.apply(t, p, context, b.rows, b.schemas, batched)
	for i := range b.rows {
		row := b.rows[i]
		row.RowIndex = 0
		b.apply(t, p, context, []wit.Row{row}, nil, single[i:i+1])
	}
	if d := cmp.Diff(batched, single, cmpopts.EquateNaNs()); d != "" {
		t.Errorf("one by one the records come to something else:\n%s", d)
	}
	return batched
}
