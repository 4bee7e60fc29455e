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
		{"https://sap.example.com:443", "https://sap.example.com/sap/S/Set?$skiptoken=%2F1",
			"/sap/S/Set?$skiptoken=%2F1"},
		{"https://sap.example.com", "HTTPS://SAP.example.com:443/x", "/x"},
		{"http://sap.example.com:8000", "http://sap.example.com:8000?a=b", "/?a=b"},
		{"http://sap.example.com:8000", "http://sap.example.com:8000", "/"},
		{"https://sap.example.com", "http://sap.example.com/x", "http://sap.example.com/x"},
		{"https://sap.example.com", "https://sap.example.com:8443/x", "https://sap.example.com:8443/x"},
		{"https://sap.example.com", "https://evil.example/x", "https://evil.example/x"},
		{"https://sap.example.com", "https://sap.example.com@evil.example/x", "https://sap.example.com@evil.example/x"},
		{"https://sap.example.com", "https://u:p@sap.example.com/x", "https://u:p@sap.example.com/x"},
		{"https://sap.example.com", "see https://sap.example.com/x", "see https://sap.example.com/x"},
		{"", "https://sap.example.com/x", "https://sap.example.com/x"},
	} {
		given := []wit.OffsetEntry{wit.StringEntry("url", c.text)}
		got := RelativeToOrigin(given, c.origin)
		assert.Equal(t, c.want, *got[0].Value.String, c.text)
		assert.Equal(t, c.text, *given[0].Value.String, c.text)
	}
}

func TestParseSinkPosition(t *testing.T) {
	parse := func(text string) []wit.OffsetEntry {
		f, err := ParseJSON([]byte(text))
		require.NoError(t, err)
		return f
	}
	for _, c := range []struct{ partition, offset, want string }{
		{`{"kafka_topic":"t","kafka_partition":1}`, `{"kafka_offset":2}`, ""},
		{`{"kafka_topic":"t","kafka_partition":"1"}`, `{"kafka_offset":"2"}`, ""},
		{`null`, `{"kafka_offset":2}`, "cannot be null or missing"},
		{`{"kafka_topic":"t"}`, `{"kafka_offset":2}`, "must contain the keys"},
		{`{"kafka_topic":null,"kafka_partition":1}`, `{"kafka_offset":2}`, "valid strings"},
		{`{"kafka_topic":"t","kafka_partition":1.0}`, `{"kafka_offset":2}`,
			"parse the following Kafka partition value"},
		{`{"kafka_topic":"t","kafka_partition":2147483648}`, `null`, "parse the following Kafka partition value"},
		{`{"kafka_topic":"t","kafka_partition":1}`, `{"kafka_offset":true}`, "parse the following Kafka offset value"},
		{`{"kafka_topic":"t","kafka_partition":1}`, `{"kafka_offset":null}`, "parse the following Kafka offset value"},
		{`{"kafka_topic":"t","kafka_partition":1}`, `{"kafka_offset":"2 3"}`, "parse the following Kafka offset value"},
		{`{"kafka_topic":"t","kafka_partition":1}`, `{}`, "should either be null or contain"},
		{`{"kafka_topic":"t","kafka_partition":1}`, `{"kafka_offset":-1}`, "0 or more"},
	} {
		place, err := ParseSinkPosition(Entry{parse(c.partition), parse(c.offset)})
		if c.want == "" {
			if diff := cmp.Diff(SinkPosition{"t", 1, 2}, place); err != nil || diff != "" {
				t.Errorf("%s %s: %v\n%s", c.partition, c.offset, err, diff)
			}
			continue
		}
		var invalid *InvalidError
		if err == nil || !strings.Contains(err.Error(), c.want) ||
			(!errors.Is(err, errNegative) && !errors.As(err, &invalid)) {
			t.Errorf("%s %s: expected %q, found %v", c.partition, c.offset, c.want, err)
		}
	}
}

// A reset also deletes unreadable offsets; the last duplicate partition counts.
func TestAlterAndReset(t *testing.T) {
	_, k := openTestBroker(t, t.TempDir())
	c := DefaultConfig()
	s := openTestStore(t, k, c)
	writeRaw(t, k, c.Topic, `["a",{"f":"1"}]`, `{"at":1}`, `["a",{"f":"2"}]`, `[]`, `["b",{"f":"1"}]`, `{"at":1}`)
	ctx := testContext(t)
	one := []wit.OffsetEntry{wit.StringEntry("f", "1")}
	at := func(text string) []wit.OffsetEntry { return []wit.OffsetEntry{wit.StringEntry("at", text)} }
	require.NoError(t, s.Alter(ctx, "a", Entry{one, at("x")}, Entry{one, nil}, Entry{one, at("y")}))
	again := openTestStore(t, k, c)
	found, err := again.Sorted(t.Context(), "a")
	assert.Equal(t, []Entry{{one, at("y")}}, found)
	runtest.Fails(t, err, "offset.storage.topic", "culvert offsets reset") // for the unreadable offset
	require.NoError(t, again.Reset(ctx, "a"))
	for name, want := range map[string]int{"a": 0, "b": 1} {
		if found, err := openTestStore(t, k, c).Sorted(t.Context(), name); err != nil || len(found) != want {
			t.Errorf("%s: expected %d, found %v %v", name, want, found, err)
		}
	}
}
