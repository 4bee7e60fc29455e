package paging

import (
	"encoding/json"
	"strconv"
	"testing"

	"github.com/culvert-project/culvert/plugins/odata/config/configtest"
)

// Offsets of the version before paging strategies had types, stored during a load, are accepted: each kind leads to the
// next page or to the check that precedes it.
func TestOffsetsOfPreviousVersion(t *testing.T) {
	const page, keyed = "/s/X?$orderby=K&$inlinecount=allpages",
		"/s/X?$filter=K%20gt%202L&$orderby=K&$inlinecount=allpages"
	for name, test := range map[string]struct {
		offset string
		walk   pager
		target string
	}{
		"first page": {`{"url":"/s/X?$inlinecount=allpages","seen":0,"unordered":true}`, pager{},
			"/s/X?$inlinecount=allpages"},
		"by links": {`{"url":"/s/X?$skiptoken='d'","seen":3,"sorted":true,"folded":true,"key":"(2L)",
			"sample":"kEB01Qld8Bh15chV","followed":"2.iyMLHamh.7AFMel0qiyMLHamh","pages":"1.QuuHv8lA.QuuHv8lA"}`,
			pager{by: linksWorked}, "/s/X?$skiptoken='d'"},
		"by links that count": {`{"url":"/s/X?$skiptoken=2","seen":2,"count":4,"links":true,"shifts":true,
			"tail":"eCHdkcp5","run":"VofqdufE","followed":"2.ATCQKR8j.CMaXq0ATATCQKR8j"}`, pager{by: linksWorked},
			"/s/X?$skiptoken=2"},
		"by key": {`{"url":"` + keyed + `","seen":2,"count":3,"base":2,"sorted":true,"folded":true,"sound":true,
			"key":"(2L)","next":"/s/X?$skip=2"}`, pager{by: keysWorked}, keyed},
		"by key, checked": {`{"url":"` + keyed + `","seen":2,"count":3,"base":2,"sorted":true,"key":"(2L)",
			"check":"rows","level":2,"floor":"(1L)","floorseen":1}`, pager{by: keysWorked}, keyed},
		"by key, order asked": {`{"url":"` + keyed + `","seen":2,"count":5,"base":2,"sorted":true,"key":"(2L)",
			"check":"order","probed":1}`, pager{by: keysWorked}, ""},
		"by key, unannounced": {`{"url":"` + keyed + `","seen":2,"base":2,"sorted":true,"key":"(2L)",
			"check":"count","beyond":true,"tail":"Hge06I3X","run":"JAe06JgF","claimed":2}`,
			pager{by: keysWorked, speculative: true}, keyed},
		"by key, rows left out": {`{"url":"` + keyed + `&$skip=3","seen":2,"base":2,"passed":3,"sorted":true,
			"key":"(2L)"}`,
			pager{by: keysWorked, skipped: 3}, keyed + "&$skip=3"},
		"by number": {`{"url":"/s/X?$skip=298","seen":299,"count":400,"unordered":true,"laps":true,"tail":"Hge06I3X"}`,
			pager{by: skipWorked, overlaps: true}, "/s/X?$skip=298"},
		"by number, unannounced": {`{"url":"/s/X?$skip=6","seen":6,"shifts":true,"faults":"k7Pk-zcZ","beyond":true}`,
			pager{by: skipWorked, speculative: true}, "/s/X?$skip=6"},
		"the count at the end": {`{"url":"` + keyed + `","seen":5,"count":6,"base":2,"check":"end"}`, pager{by: linksWorked},
			page + "1"},
		"the way without": {`{"url":"` + page + `","seen":0,"check":"without","refused":"500 SY/530"}`, pager{}, page},
		"complete": {`{"url":"` + page + `","seen":4,"count":4,"done":true,"proven":true,
			"fell":"Hge06I3X"}`, pager{}, page},
	} {
		t.Run(name, func(t *testing.T) {
			var fields map[string]any
			if err := json.Unmarshal([]byte(test.offset), &fields); err != nil {
				t.Fatal(err)
			}
			position, err := Read(configtest.Offset(fields))
			if err != nil || position.pager != test.walk {
				t.Fatalf("expected the strategy %#v, found %+v, %v", test.walk, position, err)
			}
			target, _ := setOf("auto", 0).Request(position)
			switch test.target {
			case "": // the check for two keys, by the one that is known
				test.target = "/s/X?$filter=K%20le%202L&$orderby=K%20desc&$top=8"
			case page + "1":
				test.target = "/s/X?$orderby=K&$top=1&$inlinecount=allpages"
			}
			if target != test.target {
				t.Errorf("expected %s, found %s", test.target, target)
			}
			if again, err := Read(position.Fields()); err != nil || again.pager != position.pager ||
				again.url != position.url ||
				again.capabilities != position.capabilities || *again.checks != *position.checks {
				t.Errorf("unexpected position after storing again: %+v, %v", again, err)
			}
		})
	}
}

// Field names that the host adds to an offset are reserved: a page whose position uses one of them fails.
func TestReservedFieldsOfOffsets(t *testing.T) {
	for _, item := range newPosition(0).offsetFields(&encodedState{}) {
		switch item.Name {
		case "record", "keys", "fingerprint", "subscription":
			t.Errorf("the field %s is reserved for the host", item.Name)
		}
	}
}

// The loop detector's memory does not grow with the load.
func TestLoopDetectorIsBounded(t *testing.T) {
	var tr LoopDetector
	for i := range 200_000 {
		if tr.visit(hashOf(strconv.Itoa(i))) {
			t.Fatalf("expected step %d to differ from the ones before", i)
		}
	}
	if n := len(tr.String()); n > 1000 {
		t.Errorf("unexpected size of %d bytes", n)
	}
	again := LoopDetector{}
	if !again.parse(tr.String()) || again != tr {
		t.Error("expected the same detector after parsing")
	}
	for _, s := range []string{"", "1", "1.2.3", "0." + tr.checkpoint + ".", tr.String() + "x", "x." + tr.checkpoint +
		"."} {
		if again.parse(s) {
			t.Errorf("expected %q to be rejected", s)
		}
	}
}
