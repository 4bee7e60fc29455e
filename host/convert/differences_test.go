package convert

import (
	"context"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/host/record"
)

// rewriting is a document that both converters read and write anew. odd: a value in it may be of another type than its
// schema.
type rewriting struct {
	reader, writer, document string
	odd                      bool
}

func (w rewriting) rewrite(t *testing.T) string {
	t.Helper()
	text, err := w.rewritten(t.Context())
	if err != nil {
		return "!" + ErrorClass(err)
	}
	return text
}

// rewritten is what our converters make of the document, "(null)" for none.
func (w rewriting) rewritten(ctx context.Context) (string, error) {
	b := &record.Batch{Registry: record.NewRegistry()}
	reader, err := New(ClassJSON, settingsOf(w.reader), Use{Schemas: b.Registry})
	if err != nil {
		return "", err
	}
	writer, err := New(ClassJSON, settingsOf(w.writer), Use{Schemas: b.Registry})
	if err != nil {
		return "", err
	}
	d, err := reader.Decode(ctx, "t", []byte(w.document), b)
	if err != nil {
		return "", err
	}
	out, null, err := writer.Encode(ctx, nil, math.MaxInt32, "t", b, d)
	if err == nil && null {
		return "(null)", nil
	}
	return string(out), err
}

func settingsOf(text string) map[string]string {
	all := map[string]string{}
	for pair := range strings.SplitSeq(text, " ") {
		name, value, _ := strings.Cut(pair, "=")
		all[name] = value
	}
	return all
}

// wantedCase is a line of differences.tsv.
type wantedCase struct {
	rewriting
	name, kafka, ours string
}

// differences are those that are wanted: where our JsonConverter does not do as Kafka's.
func differences(t *testing.T) (cases []wantedCase) {
	t.Helper()
	text, err := os.ReadFile("../../testdata/convert/differences.tsv")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		parts := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(parts) != 6 {
			t.Fatalf("expected 6 columns, found %q", line)
		}
		cases = append(cases, wantedCase{rewriting{parts[1], parts[2], parts[3], false}, parts[0], parts[4], parts[5]})
	}
	return cases
}

// Every wanted difference is one, and RATIONALE names it.
func TestDifferences(t *testing.T) {
	rationale, err := os.ReadFile("../../RATIONALE.md")
	if err != nil {
		t.Fatal(err)
	}
	words := strings.Join(strings.Fields(string(rationale)), " ")
	for _, c := range differences(t) {
		if got := c.rewrite(t); got != c.ours || got == c.kafka {
			t.Errorf("%s: %s: expected %s, and something else than Kafka's %s, found %s", c.name, c.document, c.ours,
				c.kafka, got)
		}
		if !strings.Contains(words, c.name) {
			t.Errorf("RATIONALE.md does not name %q", c.name)
		}
	}
}
