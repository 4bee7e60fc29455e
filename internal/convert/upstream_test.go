package convert

import (
	"math"
	"os"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/base/upstreamtest"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/wit"
)

// The documents of Kafka's own JsonConverterTest are read and written again as upstream.tsv specifies. Its columns are
// the method, the settings, the document, and the document after it was read and written.
func TestKafkaJSONConverterCases(t *testing.T) {
	lines := readTSV(t, "upstream.tsv", 4)
	for _, row := range lines {
		method := row[0]
		document := row[2]
		want := row[3]
		b := &record.Batch{Registry: record.NewRegistry()}
		c := newConverter(t, ClassJSON, b.Registry, options(row[1])...)
		d, err := c.Decode(t.Context(), "t", []byte(document), b)
		if err != nil {
			t.Errorf("%s: %s: %v", method, document, err)
			continue
		}
		out, isNull, err := c.Encode(t.Context(), nil, math.MaxInt32, "t", b, d)
		if isNull {
			out = []byte("nothing")
		}
		assert.True(t, err == nil && string(out) == want,
			"%s: %s\nexpected %s\nfound    %s, %v", method, document, want, out, err)
	}
	assert.AtLeast(t, 70, len(lines), "the cases of all methods")
	for _, schemas := range []string{"true", "false"} {
		b := &record.Batch{Registry: record.NewRegistry()}
		c := newConverter(t, ClassJSON, b.Registry, "schemas.enable", schemas)
		d, err := c.Decode(t.Context(), "t", nil, b)
		assert.True(t, err == nil && d.Encoding == wit.Absent,
			"expected a tombstone to be read as null, found %v, %v", d, err)
		out, isNull, err := c.Encode(t.Context(), nil, math.MaxInt32, "t", b, d)
		assert.True(t, err == nil && isNull, "expected a tombstone to be written, found %q, %v", out, err)
	}
}

// Every test method of Kafka's converters in testdata/upstream-cases.txt names an existing case.
func TestUpstreamConverterCasesExist(t *testing.T) {
	lines, err := os.ReadFile("../../testdata/convert/upstream.tsv")
	require.NoError(t, err)
	upstreamtest.List{Root: "../..", Area: "converters", Tests: []string{"."}, Least: 110,
		Method: func(name string) bool { return strings.Contains(name, "ConverterTest.") },
		Case: func(method, name string) string {
			_, method, _ = strings.Cut(method, ".")
			switch {
			case !strings.HasPrefix(name, "Test"):
				return "expected a test, found " + name
			case name == "TestKafkaJSONConverterCases" && !strings.HasPrefix(method, "null") &&
				!strings.Contains("\n"+string(lines), "\n"+method+"\t"):
				return "upstream.tsv has no line for it"
			}
			return ""
		}}.Check(t)
}
