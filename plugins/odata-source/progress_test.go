package main

import (
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/plugins/odata/paging"
	"github.com/culvert-project/culvert/wit"
)

// The stored offset contains the progress of a load and the proof at its end.
func TestProgress(t *testing.T) {
	done := wit.BooleanEntry("done", true)
	url := wit.StringEntry("url", "/s/A")
	phase := func(name string, fields ...wit.OffsetEntry) []wit.OffsetEntry {
		return append([]wit.OffsetEntry{wit.StringEntry("phase", name), url}, fields...)
	}
	total := wit.Ptr(uint64(9))
	key := wit.StringEntry("complete", "key")
	for name, c := range map[string]struct {
		offset []wit.OffsetEntry
		want   *wit.LoadProgress
	}{
		"nothing stored": {},
		"first page":     {offset: []wit.OffsetEntry{url, wit.IntegerEntry("seen", 0)}, want: &wit.LoadProgress{}},
		"load under way": {offset: []wit.OffsetEntry{url, wit.IntegerEntry("seen", 7), wit.IntegerEntry("count", 9)},
			want: &wit.LoadProgress{Read: 7, Total: total}},
		"end": {offset: []wit.OffsetEntry{url, wit.IntegerEntry("seen", 9), wit.IntegerEntry("count", 9), done, key},
			want: &wit.LoadProgress{Read: 9, Total: total, Complete: wit.Ptr("key")}},
		"delta, load": {offset: phase("load", wit.IntegerEntry("seen", 3)), want: &wit.LoadProgress{Read: 3}},
		"delta, load again": {offset: phase("load", wit.IntegerEntry("seen", 3), key),
			want: &wit.LoadProgress{Read: 3}},
		"delta, snapshot": {offset: phase("second", wit.StringEntry("second.url", "/s/A"),
			wit.IntegerEntry("second.seen", 4), wit.IntegerEntry("second.count", 9),
			wit.StringEntry("complete", "unproven")),
			want: &wit.LoadProgress{Read: 4, Total: total}},
		"delta, comparison": {offset: phase("keys", wit.StringEntry("second.url", "/s/A"),
			wit.IntegerEntry("second.seen", 4), wit.IntegerEntry("second.count", 9)),
			want: &wit.LoadProgress{Read: 4, Total: total}},
		"delta, end of a comparison": {offset: phase("keys", wit.StringEntry("second.url", "/s/A"),
			wit.IntegerEntry("second.seen", 9), wit.BooleanEntry("second.done", true),
			wit.StringEntry("second.complete", "key")), want: &wit.LoadProgress{Read: 9}},
		"delta, hidden rows": {offset: phase("hidden", wit.IntegerEntry("seen", 3)), want: &wit.LoadProgress{Read: 3}},
		"delta, waits": {offset: phase("changes", wit.BooleanEntry("rest", true), wit.StringEntry("complete", "delta")),
			want: &wit.LoadProgress{Complete: wit.Ptr("delta")}},
		"delta, changes": {offset: phase("changes", wit.IntegerEntry("seen", 3), key),
			want: &wit.LoadProgress{Complete: wit.Ptr("key")}},
		"delta, link of another connector": {offset: phase("changes", wit.BooleanEntry("rest", true))},
	} {
		assert.Equal(t, c.want, (&plugin{}).Progress(nil, 0, c.offset), name)
	}
}

// The first load since a start warns again if it ends without proof, also if the start itself had nothing to read.
// Later loads do not.
func TestFirstLoadSinceStart(t *testing.T) {
	service := odatatest.New(odatatest.Options{Switches: odatatest.Switches{PageSize: 300, SkipToken: "opaque",
		RefuseOrderBy: true}})
	settings := append(set("00", "Orders"), "sap.odata#00.exec-period=60")
	load := newLoad(t, service, settings...)
	offset := load.readAll(nil)
	require.Equal(t, paging.Unproven, stringOf(offset, "complete"), "a load without proof")
	next := func(reason wit.PollReason) *wit.Fetch {
		step, err := load.p.Next(load.opened.Context, 0, offset, reason, load.now)
		require.NoError(t, err)
		return step.Fetch
	}
	load.now += 30_000
	require.NoError(t, load.open(settings...)) // the connector is started again
	fetch := next(start)
	require.True(t, fetch == nil, "expected no load before its time, found %+v", fetch)
	for n, isFirst := range []bool{true, false} {
		load.now += 60_000
		fetch := next(poll)
		for fetch != nil {
			if v, _ := wit.Lookup(*fetch.Position, "started"); (v.Boolean != nil) != isFirst {
				t.Errorf("load %d: expected the first load since the start: %v, found %v", n, isFirst, !isFirst)
			}
			end, err := load.reader.page(0, fetch)
			require.NoError(t, err)
			offset = *end.Next
			fetch = nil
			if end.More {
				fetch = next(onward)
			}
		}
	}
}

// With completeness=require, a first load of changes without proof fails at its end. With warn, the feed continues from
// its offset: no row arrives again, and changes do.
func TestRequiredProofOfChanges(t *testing.T) {
	service := odatatest.New(odatatest.Options{Rows: 30, Switches: odatatest.Switches{PageSize: 20,
		SkipToken: "opaque", RefuseOrderBy: true}})
	f := newFollower(t, service, deltaSet("Orders", "sap.odata#00.completeness=require")...)
	for _, reason := range []wit.PollReason{start, start, poll} {
		err := f.catchUp(reason)
		require.Error(t, err, "sap.odata#00.completeness = warn reads it nevertheless", "names the setting")
	}
	read := len(f.log)
	f.settings = deltaSet("Orders", "sap.odata#00.completeness=warn")
	f.start()
	write(t, service, "MERGE", "Orders(10250)", map[string]any{"ShipName": "Behind"})
	require.NoError(t, f.catchUp(poll))
	f.checkTopic(service, "Orders", "OrderID", "ShipName")
	assert.True(t, len(f.log) == read+1, "expected one change after %d rows, found %d", read, len(f.log)-read)
}

// A first load of changes begins again if the session of its link has ended, whatever delta.lost specifies: nothing is
// lost. If that happens each time, it fails.
func TestFirstLoadWithoutItsSession(t *testing.T) {
	for _, rejections := range []int{1, 100} {
		service := odatatest.New(odatatest.Options{Rows: 95, Switches: odatatest.Switches{PageSize: 10}})
		pages := 0
		f := newFollower(t, service, deltaSet("Orders", "sap.odata#00.format=json")...)
		f.onResponse = func(q *wit.Request, r *wit.Response) {
			if !strings.Contains(q.Target, "skiptoken") {
				return
			}
			pages++
			if pages >= 3 && rejections > 0 {
				rejections--
				pages = 0
				r.Status = 400
				r.Headers = []wit.Header{{Name: wit.SessionLostHeader, Value: "true"}}
				r.Body = []byte(`{"error":{"code":"X/1","message":{"value":"unknown cursor"}}}`)
			}
		}
		err := f.catchUp(start)
		if rejections > 0 {
			fault := faultOf(err)
			assert.True(t, fault.Kind == wit.ErrorGone && strings.Contains(fault.Message, "unknown cursor"),
				"expected a lost session, found %v", err)
			continue
		}
		require.NoError(t, err)
		f.checkTopic(service, "Orders", "OrderID", "ShipName")
	}
}
