package sink

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

// Metadata is read as it was written; invalid text is an error.
func TestMetadataIsReadAsWritten(t *testing.T) {
	for want, n := range map[string]metadata{
		"":              {},
		"settled=1-3,7": {settled: []offsetRange{{101, 103}, {107, 107}}},
		"uncertain=0":   {inDoubt: []offsetRange{{100, 100}}},
		"uncertain=0,5 settled=1-4,6-90000": {settled: []offsetRange{{101, 104}, {106, 90100}},
			inDoubt: []offsetRange{{100, 100}, {105, 105}}},
		"uncertain=0-2 decided=1,1 sent=3": {inDoubt: []offsetRange{{100, 102}},
			usedDecisions: []offsetRange{{101, 101}, {101, 101}}, inFlight: []offsetRange{{103, 103}}},
		"sent=0 known=fabc,nxyz": {inFlight: []offsetRange{{100, 100}}, known: "fabc,nxyz"},
		"known=*":                {known: "*"},
		"uncertain=0-5 moved=2-4 known=nxyz": {inDoubt: []offsetRange{{100, 105}}, relocated: []offsetRange{{102, 104}},
			known: "nxyz"},
		"sent=0,4-9 settled=3": {settled: []offsetRange{{103, 103}}, inFlight: []offsetRange{{100, 100}, {104, 109}}},
	} {
		text := n.encode(100)
		assert.Equal(t, want, text)
		got, err := parseMetadata(100, text)
		diff := cmp.Diff(n, got, cmp.AllowUnexported(metadata{}, offsetRange{}), cmpopts.EquateEmpty())
		assert.True(t, diff == "" && err == nil, "%q: %v\n%s", text, err, diff)
	}
	for _, text := range []string{"settled", "settled=", "settled=1-", "settled=3-1", "settled=-1", "other=1",
		"settled=1;2", "uncertain=0-9000000000000", "known=12345678901234567", "moved=x", "moved=",
		"uncertain=0-9223372036854775807", "reach=9", "settled=9223372036854775807", "sent=x", "sent=0-100001"} {
		_, err := parseMetadata(7, text)
		assert.True(t, err != nil, "%q: expected an error", text)
	}
}

func FuzzMetadata(f *testing.F) {
	f.Add(int64(3), "uncertain=0,5 decided=5 settled=1-4,6-90000 sent=7")
	f.Add(int64(3), "uncertain=0 near=2:BI-_ settled=90-100,107,109,112,114,117,119,120,122,124,127,129,131,134,137")
	f.Fuzz(func(t *testing.T, next int64, text string) {
		n, err := parseMetadata(max(next, 0), text)
		if err != nil {
			return
		}
		lists, err := parseMetadata(max(next, 0), n.encodeLists(max(next, 0)))
		lists.relocated = n.relocated
		lists.known = n.known
		diff := cmp.Diff(n, lists, cmp.AllowUnexported(metadata{}, offsetRange{}), cmpopts.EquateEmpty())
		assert.True(t, diff == "" && err == nil, "%v\n%s", err, diff)
		reparsed, err := parseMetadata(max(next, 0), n.encode(max(next, 0)))
		diff = cmp.Diff(n.meaning(), reparsed.meaning())
		assert.True(t, diff == "" && err == nil, "%v\n%s", err, diff)
	})
}

func TestDecisionsNameRecords(t *testing.T) {
	d, err := parseDecisions(sendSetting, []string{"a-b-0@5", "a-b-0@5", "a-b-0@7-9", "a-b-0@9", ""})
	require.NoError(t, err)
	for offset, n := range map[int64]int{4: 0, 5: 2, 7: 1, 9: 2, 10: 0} {
		assert.Equal(t, n, d.count(recordID{"a-b", 0, offset}), "offset", offset)
	}
	for _, name := range []string{"a", "a@5", "a-@5", "-0@5", "a-0@", "a-0@x", "a-0@9-7", "a-99999999999@5"} {
		_, err := parseDecisions(skipSetting, []string{name})
		assert.Error(t, err, skipSetting, name)
	}
}

// Any client that may commit for the group can write metadata: a few bytes must not specify endless records.
func TestHostileMetadata(t *testing.T) {
	for metadata, want := range map[string]string{
		"uncertain=0-9000000000000000000":                   "expected offsets as 1-3",
		"uncertain=0-1000000000":                            "at most 100000 uncertain records",
		"uncertain=0-99999,200000":                          "at most 100000 uncertain records",
		"settled=9223372036854775807":                       "expected offsets as 1-3",
		"settled=x" + strings.Repeat("y", 1<<20):            "expected offsets as 1-3",
		strings.Repeat("z", 1<<20) + "=1":                   "expected settled, uncertain",
		"uncertain=0-99999 settled=0-1000000000,2000000000": "",
	} {
		_, err := parseMetadata(5, metadata)
		assert.True(t, (want != "" || err == nil) &&
			(want == "" || (err != nil && strings.Contains(err.Error(), want) && len(err.Error()) <= 5000)),
			"%.50s: expected %q, found %.300v", metadata, want, err)
	}
}

// Messages contain a key's value, not the schema that a JSON converter put around it.
func TestKeysInMessages(t *testing.T) {
	long := strings.Repeat("k", 300)
	for key, want := range map[string]string{
		`{"schema":{"type":"struct","fields":[{"field":"OrderID","type":"int32"}]},"payload":{"OrderID":7}}`: `{"OrderID":7}`,
		` {"payload":"x","schema":{"type":"string"}}`:                                                        `"x"`,
		`{"schema":null,"payload":1}`:                                                                        `1`,
		`{"OrderID":7}`:                                                                                      `{"OrderID":7}`,
		`{"payload":7}`:                                                                                      `{"payload":7}`,

		"plain": "plain", "": "", "{": "{",
		long: long[:maxShownKey] + "…",
	} {
		assert.Equal(t, want, string(shortKey([]byte(key))), key)
	}
}
