package paging

import (
	"encoding/json"
	"strconv"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/plugins/odata/config/configtest"
)

// Stored offsets are continued: each kind leads to the next page or to the probe that precedes it.
func TestStoredPositions(t *testing.T) {
	const (
		page  = "/s/X?$orderby=K&$inlinecount=allpages"
		keyed = "/s/X?$filter=K%20gt%202L&$orderby=K&$inlinecount=allpages"
	)
	for name, test := range map[string]struct {
		offset string
		pager  pager
		target string // of the next request
	}{
		"first page": {offset: `{"url":"/s/X?$inlinecount=allpages","seen":0,"unordered":true}`, pager: pager{},
			target: "/s/X?$inlinecount=allpages"},
		"by links": {offset: `{"url":"/s/X?$skiptoken='d'","seen":3,"sorted":true,"folded":true,"key":"(2L)",
			"sample":"kEB01Qld8Bh15chV","followed":"2.iyMLHamh.7AFMel0qiyMLHamh","pages":"1.QuuHv8lA.QuuHv8lA"}`,
			pager: pager{kind: byLink}, target: "/s/X?$skiptoken='d'"},
		"by links that count": {offset: `{"url":"/s/X?$skiptoken=2","seen":2,"count":4,"links":true,"shifts":true,
			"run":"VofqdufEeCHdkcp5","followed":"2.ATCQKR8j.CMaXq0ATATCQKR8j"}`,
			pager: pager{kind: byLink}, target: "/s/X?$skiptoken=2"},
		"by key": {offset: `{"url":"` + keyed + `","seen":2,"count":3,"base":2,"sorted":true,"folded":true,
			"key":"(2L)","next":"/s/X?$skip=2"}`,
			pager: pager{kind: byKey}, target: keyed},
		"by key, rows left out": {offset: `{"url":"` + keyed + `&$skip=3","seen":2,"base":2,"passed":3,"sorted":true,
			"key":"(2L)"}`,
			pager: pager{kind: byKey, skipped: 3}, target: keyed + "&$skip=3"},
		"by number": {
			offset: `{"url":"/s/X?$skip=298","seen":299,"count":400,"unordered":true,"laps":true,"run":"Hge06I3X"}`,
			pager:  pager{kind: bySkip, overlaps: true}, target: "/s/X?$skip=298"},
		"by number, with faults": {
			offset: `{"url":"/s/X?$skip=6","seen":6,"shifts":true,"faults":"k7Pk-zcZ","skipping":true}`,
			pager:  pager{kind: bySkip}, target: "/s/X?$skip=6"},
		"the count at the end": {offset: `{"url":"` + keyed + `","seen":5,"count":6,"base":2,"check":"end"}`,
			pager: pager{kind: byLink}, target: "/s/X?$orderby=K&$top=1&$inlinecount=allpages"},
		"complete": {offset: `{"url":"` + page + `","seen":4,"count":4,"done":true,"proven":true}`,
			pager: pager{}, target: page},
	} {
		t.Run(name, func(t *testing.T) {
			var fields map[string]any
			require.NoError(t, json.Unmarshal([]byte(test.offset), &fields))
			position, err := Read(configtest.Offset(fields))
			require.True(t, err == nil && position.pager == test.pager,
				"expected the pager %#v, found %+v, %v", test.pager, position, err)
			target, _ := setOf("auto", 0).Request(position)
			assert.Equal(t, test.target, target)
			reread, err := Read(position.Fields())
			assert.True(t, err == nil && reread.pager == position.pager && reread.url == position.url &&
				reread.known == position.known && reread.seen == position.seen && *reread.checks == *position.checks,
				"expected %+v after storing it again, found %+v, %v", position, reread, err)
		})
	}
}

// Field names that the host adds to an offset are reserved: a position does not use them.
func TestReservedFieldsOfOffsets(t *testing.T) {
	for _, item := range newPosition(known{}).appendFields(nil, &encodedState{}) {
		switch item.Name {
		case "record", "keys", "fingerprint", "subscription":
			t.Errorf("expected no field %s, which is reserved for the host", item.Name)
		}
	}
}

// The loop detector's memory does not grow with the load.
func TestLoopDetectorIsBounded(t *testing.T) {
	var detector LoopDetector
	for i := range 200_000 {
		require.True(t, !detector.visit(hashOf(strconv.Itoa(i))), "expected step %d to differ from the ones before", i)
	}
	assert.AtMost(t, 1000, len(detector.String()), "bytes")
	var parsed LoopDetector
	assert.True(t, parsed.parse(detector.String()) && parsed == detector,
		"expected %+v after parsing, found %+v", detector, parsed)
	for _, text := range []string{"", "1", "1.2.3", "0." + detector.checkpoint + ".", detector.String() + "x",
		"x." + detector.checkpoint + "."} {
		assert.True(t, !parsed.parse(text), "expected %q to be rejected", text)
	}
}
