// Package plugintest tests a plugin from files, natively and without a host: a golden file holds what goes in, a line
// of dashes, and what must come out.
//
//	func TestMask(t *testing.T) { plugintest.Transform(t, transform.Records(maskText{}), "testdata/*.txt") }
//
// Run with -update the tests write the second half again.
//
// A file begins with what is configured: one `[class]` line for each stage (a source or sink has one), its settings
// below it as `name=value`, then an empty line. What follows depends on the world: [Transform], [Source].
//
// Records are JSON objects, one a line, with topic, partition, offset, timestamp, key, value and headers. Key and value
// are written as Kafka Connect's JSON converter does: `{"schema":…,"payload":…}` with a schema, any other JSON without
// one; left out where there is none. Headers are a list of {"name":…,"value":…}, the value written in the same way, or
// of {"name":…,"raw":…} in base64 where no converter has read it.
package plugintest

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/wit"
)

var update = flag.Bool("update", false, "write the expected halves of golden files again")

const dashes = "-----\n"

// golden runs f on the input of every file that matches and compares what it returns with the file's second half.
func golden(t *testing.T, pattern string, f func(t *testing.T, stages []wit.Stage, input string) string) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden file matches %s (%v)", pattern, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), filepath.Ext(file)), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			input, want, found := strings.Cut(string(text), "\n"+dashes)
			if !found && !*update {
				t.Fatalf("%s: expected a line of dashes between input and output", file)
			}
			stages, rest := configuration(t, input+"\n")
			got := f(t, stages, rest)
			if *update {
				if err := os.WriteFile(file, []byte(input+"\n"+dashes+got), 0o644); err != nil {
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

// configuration reads the stages at the start of an input.
func configuration(t *testing.T, input string) (stages []wit.Stage, rest string) {
	t.Helper()
	head, rest, _ := strings.Cut(input, "\n\n")
	for _, line := range strings.Split(head, "\n") {
		name, class := strings.CutPrefix(line, "[")
		switch key, value, ok := strings.Cut(line, "="); {
		case class:
			stages = append(stages, wit.Stage{Component: strings.TrimSuffix(name, "]")})
		case ok && len(stages) > 0:
			s := &stages[len(stages)-1]
			s.Settings = append(s.Settings, wit.Setting{Name: strings.TrimSpace(key), Value: strings.TrimSpace(value)})
		case strings.TrimSpace(line) != "":
			t.Fatalf("configuration: expected [class] or name=value, found %q", line)
		}
	}
	return stages, rest
}

// Transform runs a chain of the plugin's stages over records. After the configuration the input has one record a line;
// the output has the records that come out and, as {"fault":…}, those that failed. Records go in one batch and then one
// by one through a plugin that has seen the schemas: both must come to the same.
func Transform(t *testing.T, p wit.Transform, pattern string) {
	t.Helper()
	golden(t, pattern, func(t *testing.T, stages []wit.Stage, input string) string {
		context, err := p.Prepare(stages)
		if err != nil {
			return "prepare: " + err.Error() + "\n"
		}
		b := newBatch()
		for _, line := range strings.Split(strings.TrimSpace(input), "\n") {
			if err := b.add(line); err != nil {
				t.Fatalf("record %d: %v", len(b.rows)+1, err)
			}
		}
		whole := strings.Join(b.apply(t, p, context, b.rows, b.schemas), "")
		var single []string
		for i := range b.rows {
			single = append(single, b.apply(t, p, context, b.rows[i:i+1], nil)...)
		}
		if one := strings.Join(single, ""); one != whole {
			t.Errorf("one by one the records come to something else:\n%s", cmp.Diff(whole, one))
		}
		return whole
	})
}

// apply runs rows through the plugin and writes what comes out, a line each.
func (b *batch) apply(t *testing.T, p wit.Transform, context []byte, rows []wit.Row,
	schemas []wit.Schema) (lines []string) {
	t.Helper()
	for len(rows) > 0 {
		out, err := p.Apply(context, schemas, b.topics, slices.Clone(rows), slices.Clone(b.data))
		if err != nil {
			return append(lines, "apply: "+err.Error()+"\n")
		}
		if out.Consumed == 0 || int(out.Consumed) > len(rows) {
			t.Fatalf("apply: consumed %d of %d rows", out.Consumed, len(rows))
		}
		lines = append(lines, b.lines(t, rows, &out)...)
		rows, schemas = rows[out.Consumed:], nil
	}
	return lines
}

// lines writes rows and faults in the order of the rows that they came from.
func (b *batch) lines(t *testing.T, rows []wit.Row, out *wit.Applied) (lines []string) {
	t.Helper()
	b.learn(out.Schemas)
	topics := out.Topics
	if len(topics) == 0 {
		topics = b.topics
	}
	next := 0
	for origin := range out.Consumed {
		for ; next < len(out.Rows) && out.Rows[next].Origin <= origin; next++ {
			line, err := b.line(out.Rows[next], rows[origin], topics, out.Data)
			if err != nil {
				t.Fatalf("record %d: %v", origin, err)
			}
			lines = append(lines, line)
		}
		for _, f := range out.Faults {
			if f.Origin == origin {
				lines = append(lines, encode(object{{"fault", f.Fault.Message}, {"class", f.ErrorClass},
					{"stage", f.Stage}})+"\n")
			}
		}
	}
	if next != len(out.Rows) {
		t.Errorf("%d rows do not stand in the order of the rows that they came from", len(out.Rows)-next)
	}
	return lines
}
