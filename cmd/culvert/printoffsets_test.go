package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
)

const storedSet = `{"service":"/s","entityset":"Orders"}`

// printedOffsets has stored offsets and the text that culvert offsets show prints for them, apart from the number of
// spaces.
var printedOffsets = []struct {
	name      string
	partition string
	offset    string
	want      string
}{
	{
		name:      "sink",
		partition: `{"kafka_partition":0,"kafka_topic":"Orders"}`,
		offset:    `{"kafka_offset":7}`,
		want:      "topic Orders, partition 0: the next record is the one with offset 7\n",
	},
	{
		name:      "complete load",
		partition: storedSet,
		offset: `{"url":"/s/Orders?$skiptoken=9","seen":9,"count":10,"sorts":true,"done":true,` +
			`"at":1795705177137,"fingerprint":"mode=full"}`,
		want: `service /s, entityset Orders
  state                        complete: all rows were read
  request                      /s/Orders?$skiptoken=9
  finished                     2026-11-26 14:59:37 UTC
  rows before the request      9
  rows by the service's count  10
  belongs to                   mode=full
  other fields                 sorts=true
`,
	},
	{
		name:      "proven load",
		partition: storedSet,
		offset:    `{"url":"/p","seen":9,"done":true,"complete":"key"}`,
		want: `service /s, entityset Orders
  state                    complete: all rows were read
  request                  /p
  rows before the request  9
  proof of the last load   order of the keys
`,
	},
	{
		name:      "unproven load",
		partition: storedSet,
		offset:    `{"url":"/p","done":true,"complete":"unproven"}`,
		want: `service /s, entityset Orders
  state                   finished: nothing proves that all rows were read
  request                 /p
  proof of the last load  none
`,
	},
	{
		name:      "proof of a later version",
		partition: storedSet,
		offset:    `{"url":"/p","done":true,"complete":"x"}`,
		want: `service /s, entityset Orders
  state                   complete: all rows were read
  request                 /p
  proof of the last load  x
`,
	},
	{
		name:      "changes after a load",
		partition: storedSet,
		offset:    `{"phase":"changes","url":"/d","complete":"delta"}`,
		want: `service /s, entityset Orders
  state                   reading changes
  request                 /d
  proof of the last load  delta link
`,
	},
	{
		name:      "beginning",
		partition: storedSet,
		offset:    `{"url":"/p","beginning":"qrs"}`,
		want: `service /s, entityset Orders
  state    first load; its first rows may have been delivered
  request  /p
`,
	},
	{
		name:      "beginning with change tracking",
		partition: storedSet,
		offset:    `{"phase":"load","url":"/p","beginning":"qrs"}`,
		want: `service /s, entityset Orders
  state    first load; its first rows may have been delivered
  request  /p
`,
	},
	{
		name:      "load in progress",
		partition: storedSet,
		offset:    `{"url":"/p","record":3}`,
		want: `service /s, entityset Orders
  state                                   full load; the request is the next page
  request                                 /p
  rows of the request that were delivered  3
`,
	},
	{
		name:      "rows that a comparison has found",
		partition: storedSet,
		offset:    `{"phase":"hidden","url":"/d"}`,
		want: "service /s, entityset Orders\n" +
			"  state    reading rows that the first load missed\n" +
			"  request  /d\n",
	},
	{
		name:      "changes",
		partition: storedSet,
		offset:    `{"phase":"changes","url":"/d","rest":true}`,
		want: `service /s, entityset Orders
  state    all changes were read; the request asks for the next ones
  request  /d
`,
	},
	{
		name:      "rescan",
		partition: storedSet,
		offset:    `{"phase":"second","url":"/d"}`,
		want: "service /s, entityset Orders\n" +
			"  state    reading the entity set a second time\n  request  /d\n",
	},
	{
		name:      "import",
		partition: storedSet,
		offset:    `{"url":"/d?!deltatoken='D1'"}`,
		want: "service /s, entityset Orders\n" +
			"  state    taken over; the request asks for changes\n  request  /d?!deltatoken='D1'\n",
	},
	{
		name:      "import of v4",
		partition: storedSet,
		offset:    `{"url":"/d?%24deltatoken=D1"}`,
		want: "service /s, entityset Orders\n" +
			"  state    taken over; the request asks for changes\n  request  /d?%24deltatoken=D1\n",
	},
	{
		name:      "phase of a later version",
		partition: storedSet,
		offset:    `{"phase":"x","url":"/d"}`,
		want:      "service /s, entityset Orders\n  state    x\n  request  /d\n",
	},
	{
		name:      "other connector",
		partition: `{"filename":"a"}`,
		offset:    `{"position":5}`,
		want:      "filename a\n  other fields  position=5\n",
	},
	{name: "deleted", partition: storedSet, offset: `null`, want: "service /s, entityset Orders\n"},
}

// culvert offsets show prints the meaning of stored offsets, fields without a label by their names, and JSON with
// --json only.
func TestOffsetsShowPrintsLabels(t *testing.T) {
	t.Parallel()
	for _, c := range printedOffsets {
		var out strings.Builder
		answer := `{"offsets":[{"partition":` + c.partition + `,"offset":` + c.offset + `}]}`
		const (
			asText = false
			asJSON = true
		)
		err := printOffsets(&out, []byte(answer), asText)
		assert.True(t, err == nil && singleSpaced(out.String()) == singleSpaced(c.want),
			"%s: expected\n%s, found %v\n%s", c.name, c.want, err, out.String())
		out.Reset()
		if err := printOffsets(&out, []byte(answer), asJSON); err != nil || !json.Valid([]byte(out.String())) {
			t.Errorf("%s: expected JSON, found %v\n%s", c.name, err, out.String())
		}
	}
}

func TestOffsetsShowReportsThatNoneAreStored(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	const asText = false
	err := printOffsets(&out, []byte(`{"offsets":[]}`), asText)
	assert.True(t, err == nil && out.String() == "no offsets are stored\n",
		"expected the line that no offsets are stored, found %v, %q", err, out.String())
}

// singleSpaced returns a text with single spaces between columns.
func singleSpaced(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	return strings.Join(lines, "\n")
}
