package offset

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/run/runtest"
	"github.com/culvert-project/culvert/wit"
)

// The original connector stored absolute URLs, which become paths on the connector's origin.
func TestRelativeToOrigin(t *testing.T) {
	for _, c := range []struct{ origin, text, want string }{
		{origin: "https://sap.example.com:443", text: "https://sap.example.com/sap/S/Set?$skiptoken=%2F1",
			want: "/sap/S/Set?$skiptoken=%2F1"},
		{origin: "https://sap.example.com", text: "HTTPS://SAP.example.com:443/x", want: "/x"},
		{origin: "http://sap.example.com:8000", text: "http://sap.example.com:8000?a=b", want: "/?a=b"},
		{origin: "http://sap.example.com:8000", text: "http://sap.example.com:8000", want: "/"},
		{origin: "https://sap.example.com", text: "http://sap.example.com/x", want: "http://sap.example.com/x"},
		{origin: "https://sap.example.com", text: "https://sap.example.com:8443/x",
			want: "https://sap.example.com:8443/x"},
		{origin: "https://sap.example.com", text: "https://evil.example/x", want: "https://evil.example/x"},
		{origin: "https://sap.example.com", text: "https://sap.example.com@evil.example/x",
			want: "https://sap.example.com@evil.example/x"},
		{origin: "https://sap.example.com", text: "https://u:p@sap.example.com/x",
			want: "https://u:p@sap.example.com/x"},
		{origin: "https://sap.example.com", text: "see https://sap.example.com/x",
			want: "see https://sap.example.com/x"},
		{origin: "", text: "https://sap.example.com/x", want: "https://sap.example.com/x"},
	} {
		original := []wit.OffsetEntry{wit.StringEntry("url", c.text)}
		got := RelativeToOrigin(original, c.origin)
		assert.Equal(t, c.want, *got[0].Value.String, c.text)
		assert.Equal(t, c.text, *original[0].Value.String, c.text)
	}
}

// Numbers may be strings. Errors have the messages of Kafka Connect.
func TestParseSinkPosition(t *testing.T) {
	parse := func(text string) []wit.OffsetEntry {
		f, err := ParseJSON([]byte(text))
		require.NoError(t, err)
		return f
	}
	for _, c := range []struct{ partition, offset, want string }{
		{partition: `{"kafka_topic":"t","kafka_partition":1}`, offset: `{"kafka_offset":2}`},
		{partition: `{"kafka_topic":"t","kafka_partition":"1"}`, offset: `{"kafka_offset":"2"}`},
		{partition: `null`, offset: `{"kafka_offset":2}`, want: "cannot be null or missing"},
		{partition: `{"kafka_topic":"t"}`, offset: `{"kafka_offset":2}`, want: "must contain the keys"},
		{partition: `{"kafka_topic":null,"kafka_partition":1}`, offset: `{"kafka_offset":2}`, want: "valid strings"},
		{partition: `{"kafka_topic":"t","kafka_partition":1.0}`, offset: `{"kafka_offset":2}`,
			want: "parse the following Kafka partition value"},
		{partition: `{"kafka_topic":"t","kafka_partition":2147483648}`, offset: `null`,
			want: "parse the following Kafka partition value"},
		{partition: `{"kafka_topic":"t","kafka_partition":1}`, offset: `{"kafka_offset":true}`,
			want: "parse the following Kafka offset value"},
		{partition: `{"kafka_topic":"t","kafka_partition":1}`, offset: `{"kafka_offset":null}`,
			want: "parse the following Kafka offset value"},
		{partition: `{"kafka_topic":"t","kafka_partition":1}`, offset: `{"kafka_offset":"2 3"}`,
			want: "parse the following Kafka offset value"},
		{partition: `{"kafka_topic":"t","kafka_partition":1}`, offset: `{}`, want: "should either be null or contain"},
		{partition: `{"kafka_topic":"t","kafka_partition":1}`, offset: `{"kafka_offset":-1}`, want: "0 or more"},
	} {
		place, err := ParseSinkPosition(Entry{Partition: parse(c.partition), Offset: parse(c.offset)})
		if c.want == "" {
			diff := cmp.Diff(SinkPosition{Topic: "t", Partition: 1, Offset: 2}, place)
			assert.True(t, err == nil && diff == "", "%s %s: %v (-want +got)\n%s", c.partition, c.offset, err, diff)
			continue
		}
		var invalid *InvalidError
		assert.True(t, err != nil && strings.Contains(err.Error(), c.want) &&
			(errors.Is(err, errNegative) || errors.As(err, &invalid)),
			"%s %s: expected %q, found %v", c.partition, c.offset, c.want, err)
	}
}

// A reset also deletes unreadable offsets; the last duplicate partition counts.
func TestAlterAndReset(t *testing.T) {
	_, k := openTestBroker(t, t.TempDir())
	c := DefaultConfig()
	s := openTestStore(t, k, c)
	writeRaw(t, k, c.Topic, `["a",{"f":"1"}]`, `{"at":1}`, `["a",{"f":"2"}]`, `[]`, `["b",{"f":"1"}]`, `{"at":1}`)
	ctx := testContext(t)
	partition := []wit.OffsetEntry{wit.StringEntry("f", "1")}
	position := func(text string) []wit.OffsetEntry { return []wit.OffsetEntry{wit.StringEntry("at", text)} }
	require.NoError(t, s.Alter(ctx, "a",
		Entry{Partition: partition, Offset: position("x")},
		Entry{Partition: partition},
		Entry{Partition: partition, Offset: position("y")}))
	reopened := openTestStore(t, k, c)
	entries, err := reopened.Sorted(t.Context(), "a")
	assert.Equal(t, []Entry{{partition, position("y")}}, entries)
	runtest.Fails(t, err, "offset.storage.topic", "culvert offsets reset") // for the unreadable offset
	require.NoError(t, reopened.Reset(ctx, "a"))
	for name, want := range map[string]int{"a": 0, "b": 1} {
		if entries, err := openTestStore(t, k, c).Sorted(t.Context(), name); err != nil || len(entries) != want {
			t.Errorf("%s: expected %d offsets, found %v, %v", name, want, entries, err)
		}
	}
}
