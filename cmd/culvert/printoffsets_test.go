package main

import (
	"encoding/json"
	"strings"
	"testing"
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
	{"sink", `{"kafka_partition":0,"kafka_topic":"Orders"}`, `{"kafka_offset":7}`,
		"topic Orders, partition 0: the next record is the one with offset 7\n"},
	{"complete load", storedSet, `{"url":"/s/Orders?$skiptoken=9","seen":9,"count":10,"sorts":true,"done":true,` +
		`"at":1795705177137,"fingerprint":"mode=full"}`, `service /s, entityset Orders
  state                        complete: all rows were read
  request                      /s/Orders?$skiptoken=9
  finished                     2026-11-26 14:59:37 UTC
  rows before the request      9
  rows by the service's count  10
  belongs to                   mode=full
  other fields                 sorts=true
`},
	{"proven load", storedSet, `{"url":"/p","seen":9,"done":true,"complete":"key"}`, `service /s, entityset Orders
  state                    complete: all rows were read
  request                  /p
  rows before the request  9
  proof of the last load   order of the keys
`},
	{"unproven load", storedSet, `{"url":"/p","done":true,"complete":"unproven"}`, `service /s, entityset Orders
  state                   finished: nothing proves that all rows were read
  request                 /p
  proof of the last load  none
`},
	{"proof of a later version", storedSet, `{"url":"/p","done":true,"complete":"x"}`, `service /s, entityset Orders
  state                   complete: all rows were read
  request                 /p
  proof of the last load  x
`},
	{"changes after a load", storedSet, `{"phase":"changes","url":"/d","complete":"delta"}`, `service /s, entityset Orders
  state                   reading changes
  request                 /d
  proof of the last load  delta link
`},
	{"beginning", storedSet, `{"url":"/p","beginning":"qrs"}`, `service /s, entityset Orders
  state    first load; its first rows may have been delivered
  request  /p
`},
	{"beginning with change tracking", storedSet, `{"phase":"load","url":"/p","beginning":"qrs"}`,
		`service /s, entityset Orders
  state    first load; its first rows may have been delivered
  request  /p
`},
	{"load in progress", storedSet, `{"url":"/p","record":3}`, `service /s, entityset Orders
  state                                   full load; the request is the next page
  request                                 /p
  rows of the request that were delivered  3
`},
	{"rows that a comparison has found", storedSet, `{"phase":"hidden","url":"/d"}`, "service /s, entityset Orders\n" +
		"  state    reading rows that the first load missed\n" +
		"  request  /d\n"},
	{"changes", storedSet, `{"phase":"changes","url":"/d","rest":true}`, `service /s, entityset Orders
  state    all changes were read; the request asks for the next ones
  request  /d
`},
	{"rescan", storedSet, `{"phase":"second","url":"/d"}`, "service /s, entityset Orders\n" +
		"  state    reading the entity set a second time\n  request  /d\n"},
	{"import", storedSet, `{"url":"/d?!deltatoken='D1'"}`, "service /s, entityset Orders\n" +
		"  state    taken over; the request asks for changes\n  request  /d?!deltatoken='D1'\n"},
	{"phase of a later version", storedSet, `{"phase":"x","url":"/d"}`,
		"service /s, entityset Orders\n  state    x\n  request  /d\n"},
	{"other connector", `{"filename":"a"}`, `{"position":5}`, "filename a\n  other fields  position=5\n"},
	{"deleted", storedSet, `null`, "service /s, entityset Orders\n"},
}

// culvert offsets show prints the meaning of stored offsets, fields without a label by their names, and JSON with
// --json only.
func TestOffsetsShowPrintsLabels(t *testing.T) {
	t.Parallel()
	for _, c := range printedOffsets {
		var out strings.Builder
		answer := `{"offsets":[{"partition":` + c.partition + `,"offset":` + c.offset + `}]}`
		const asJSON = true
		err := printOffsets(&out, []byte(answer), !asJSON)
		if err != nil || singleSpaced(out.String()) != singleSpaced(c.want) {
			t.Errorf("%s: expected\n%s, found %v\n%s", c.name, c.want, err, out.String())
		}
		out.Reset()
		if err := printOffsets(&out, []byte(answer), asJSON); err != nil || !json.Valid([]byte(out.String())) {
			t.Errorf("%s: expected JSON, found %v\n%s", c.name, err, out.String())
		}
	}
}

func TestOffsetsShowReportsThatNoneAreStored(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	const asJSON = false
	err := printOffsets(&out, []byte(`{"offsets":[]}`), asJSON)
	if err != nil || out.String() != "no offsets are stored\n" {
		t.Errorf("expected the line that no offsets are stored, found %v, %q", err, out.String())
	}
}

// singleSpaced returns a text with single spaces between columns.
func singleSpaced(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	return strings.Join(lines, "\n")
}
