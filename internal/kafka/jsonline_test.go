package kafka

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

var update = flag.Bool("update", false, "write golden files again")

func lineRecord(key, value []byte, headers ...kgo.RecordHeader) *kgo.Record {
	return &kgo.Record{
		Topic: "orders", Partition: 2, Offset: 41, Timestamp: time.UnixMilli(1_700_000_000_123),
		Key: key, Value: value, Headers: headers,
	}
}

// TestLineGolden compares with testdata/lines.jsonl, which a person has reviewed.
func TestLineGolden(t *testing.T) {
	records := []*kgo.Record{
		lineRecord(nil, nil),
		lineRecord([]byte{}, []byte{}),
		lineRecord([]byte(`{"OrderID":10248}`),
			[]byte(`{"schema":null,"payload":{"Price":14.00,"Big":12345678901234567890,"E":1E+2}}`)),
		lineRecord([]byte("10248"), []byte("1.50")),
		lineRecord([]byte("true"), []byte("null")),
		lineRecord([]byte(`"quoted"`), []byte("plain text")),
		lineRecord([]byte("007"), []byte("{not json}")),
		lineRecord([]byte("{}{}"), []byte("1 2")),
		lineRecord([]byte(" {\n\t\"a\" : [ 1 , 2 ] } \n"), []byte("two\nlines\ttab \"quote\" \\ back \x00\x1f\x7f")),
		lineRecord([]byte("Größe <&> \u2028 😀"), []byte(`{"k":"Größe <&> \u00e4 ä","k":1}`)),
		lineRecord([]byte{0xff, 0xfe}, []byte("{\"a\":\"\xff\"}")),
		lineRecord([]byte("k"), []byte("v"),
			kgo.RecordHeader{Key: "h", Value: []byte("text")}, kgo.RecordHeader{Key: "h", Value: []byte("7")},
			kgo.RecordHeader{Key: "null"}, kgo.RecordHeader{Key: "\"q\"", Value: []byte{0x80}}),
	}
	var got bytes.Buffer
	for _, r := range records {
		got.Write(AppendLine(nil, r))
		got.WriteByte('\n')
	}
	golden := filepath.Join("testdata", "lines.jsonl")
	if *update {
		require.NoError(t, os.WriteFile(golden, got.Bytes(), 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	assert.Equal(t, strings.Split(string(want), "\n"), strings.Split(got.String(), "\n"), "lines")
}

// FuzzLine checks that any bytes result in one JSON document on one line from which they can be restored.
func FuzzLine(f *testing.F) {
	for _, seed := range []string{"", "x", `{"a":1}`, "\xff", "[1,\n2]", `"\ud800"`, "\u2028", "-0", "1e999",
		`{"base64":"eA=="}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		line := AppendLine(nil, lineRecord(value, value, kgo.RecordHeader{Key: string(value), Value: value}))
		require.True(t, !bytes.ContainsAny(line, "\n\r") && utf8.Valid(line),
			"expected one line of text, found %q", line)
		var parsed struct {
			Value json.RawMessage `json:"value"`
		}
		err := json.Unmarshal(line, &parsed)
		require.True(t, err == nil, "%v in %s", err, line)
		var encoded struct {
			Base64 []byte `json:"base64"`
		}
		var text string
		switch {
		case value == nil:
			require.True(t, string(parsed.Value) == "null", "expected null for nil, found %s", parsed.Value)
		case !utf8.Valid(value):
			if err := json.Unmarshal(parsed.Value, &encoded); err != nil || !bytes.Equal(encoded.Base64, value) {
				t.Fatalf("expected %q, found %s", value, parsed.Value)
			}
		case json.Valid(value):
			var want bytes.Buffer
			if err := json.Compact(&want, value); err != nil || want.String() != string(parsed.Value) {
				t.Fatalf("expected %q, found %s", value, parsed.Value)
			}
		default:
			err := json.Unmarshal(parsed.Value, &text)
			require.True(t, err == nil && text == string(value), "expected %q, found %s", value, parsed.Value)
		}
	})
}
