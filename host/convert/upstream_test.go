package convert

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/host/record"
	"github.com/culvert-project/culvert/wit"
)

// The cases of Kafka's own JsonConverterTest: method, settings, a document, and what becomes of it when it is read and
// written again.
func TestJSONOfKafka(t *testing.T) {
	text, err := os.ReadFile("../../testdata/convert/upstream.tsv")
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for line := range strings.Lines(string(text)) {
		parts := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(parts) != 4 {
			t.Fatalf("expected four columns, found %q", line)
		}
		count++
		b := &record.Batch{Registry: record.NewRegistry()}
		c := newConverter(t, ClassJSON, b.Registry, options(parts[1])...)
		d, err := c.Decode(t.Context(), "t", []byte(parts[2]), b)
		if err != nil {
			t.Errorf("%s: %s: %v", parts[0], parts[2], err)
			continue
		}
		out, null, err := c.Encode(t.Context(), nil, math.MaxInt32, "t", b, d)
		if null {
			out = []byte("nothing")
		}
		if err != nil || string(out) != parts[3] {
			t.Errorf("%s: %s\nexpected %s\nfound    %s, %v", parts[0], parts[2], parts[3], out, err)
		}
	}
	if count < 70 {
		t.Errorf("expected the cases of all methods, found %d", count)
	}
	for _, schemas := range []string{"true", "false"} {
		b := &record.Batch{Registry: record.NewRegistry()}
		c := newConverter(t, ClassJSON, b.Registry, "schemas.enable", schemas)
		d, err := c.Decode(t.Context(), "t", nil, b)
		if err != nil || d.Form != wit.Absent {
			t.Errorf("expected nothing of nothing, found %v, %v", d, err)
		}
		if _, null, err := c.Encode(t.Context(), nil, math.MaxInt32, "t", b, d); err != nil || !null {
			t.Errorf("expected a tombstone, found %v", err)
		}
	}
}

// Every test method of Kafka's JsonConverter that testdata/upstream-cases.txt lists names a case that is there.
func TestUpstreamConverters(t *testing.T) {
	all, err := os.ReadFile("../../testdata/upstream-cases.txt")
	if err != nil {
		t.Fatal(err)
	}
	lines, err := os.ReadFile("../../testdata/convert/upstream.tsv")
	if err != nil {
		t.Fatal(err)
	}
	_, text, found := strings.Cut(string(all), "# area: converters")
	if !found {
		t.Fatal("expected the section of converters")
	}
	text, _, _ = strings.Cut(text, "\n# area: ")
	var tests strings.Builder
	files, _ := filepath.Glob("*_test.go")
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		tests.Write(b)
	}
	count := 0
	for _, line := range strings.Split(text, "\n")[1:] {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		count++
		method, name, two := strings.Cut(line, "\t")
		method, of := strings.CutPrefix(method, "JsonConverterTest.")
		switch {
		case !two || !of:
			t.Errorf("expected a method and a test, found %q", line)
		case strings.HasPrefix(name, "not ours: "):
		case !strings.Contains(tests.String(), "func "+name+"("):
			t.Errorf("%s: there is no test %s", method, name)
		case name == "TestJSONOfKafka" && !strings.HasPrefix(method, "null") &&
			!strings.Contains("\n"+string(lines), "\n"+method+"\t"):
			t.Errorf("%s: upstream.tsv has no line for it", method)
		}
	}
	if count < 70 {
		t.Errorf("expected all methods, found %d", count)
	}
}
