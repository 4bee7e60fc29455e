package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/plugins/odata/config/configtest"
	"github.com/culvert-project/culvert/wit"
)

// A feed continues from each stored offset or restarts its load, and no change is missing. {TIME} is the time of the
// service's tokens.
func TestStoredOffsets(t *testing.T) {
	raw, err := os.ReadFile("testdata/offsets.json")
	require.NoError(t, err)
	var kinds map[string]map[string]any
	require.NoError(t, json.Unmarshal(raw, &kinds))
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		t.Run(kind, func(t *testing.T) {
			set := "Products"
			key := "ProductID"
			field := "ProductName"
			if strings.Contains(fmt.Sprint(kinds[kind]["url"]), "/Orders?") {
				set = "Orders"
				key = "OrderID"
				field = "ShipName"
			}
			switches := odatatest.Switches{PageSize: 5}
			settings := deltaSet(set)
			if set == "Orders" || kinds[kind]["phase"] == "second" {
				switches.SkipToken = "offset"
			}
			if strings.HasPrefix(kind, "ODP") {
				settings = odpSet("Products", "sap.odata#00.delta.lost=reload", "sap.odata.delta.takeover=1")
			}
			if kinds[kind]["phase"] == "links" {
				switches.TokenIn = "links"
			}
			service := odatatest.New(odatatest.Options{Rows: 20, Switches: switches})
			follower := followSet(t, service, settings...)
			for id := 3; id < 9; id++ {
				write(t, service, "MERGE", fmt.Sprintf("Products(%d)", id), map[string]any{"ProductName": "Changed"})
			}
			write(t, service, "DELETE", "Products(9)", nil)
			require.NoError(t, follower.catchUp(poll))
			follower.stored = storedAs(kinds[kind], stringOf(follower.stored, "url"))
			follower.start()
			write(t, service, "MERGE", "Products(20)", map[string]any{"ProductName": "Later"})
			for _, reason := range []wit.PollReason{start, poll} {
				require.NoError(t, follower.catchUp(reason))
			}
			follower.checkTopic(service, set, key, field)
			v, _ := wit.Lookup(follower.stored, "rest")
			assert.True(t, v.Boolean != nil, "expected an idle feed, found %v", follower.stored)
		})
	}
}

// An offset of delta mode in an unknown format is an error that names the field. It is not read as an offset without
// the field.
func TestStoredOffsetsInUnknownFormat(t *testing.T) {
	partition := []wit.OffsetEntry{wit.StringEntry("service", "/s"), wit.StringEntry("entityset", "X")}
	for _, test := range []struct {
		phase string
		field wit.OffsetEntry
	}{
		{phase: "load", field: wit.BooleanEntry("plain", true)},
		{phase: "changes", field: wit.BooleanEntry("counted", true)},
		{phase: "second", field: wit.StringEntry("came", "AAAA")},
		{phase: "second", field: wit.StringEntry("kept", "/s/X")},
		{phase: "second", field: wit.StringEntry("second.tail", "x")},
		{phase: "keys", field: wit.StringEntry("keys.url", "/s/X")},
	} {
		offset := []wit.OffsetEntry{wit.StringEntry("phase", test.phase), wit.StringEntry("url", "/s/X")}
		if test.phase == "second" || test.phase == "keys" {
			offset = append(offset, wit.StringEntry("second.url", "/s/X"), wit.IntegerEntry("second.seen", 3))
		}
		assert.NoError(t, (&plugin{}).CheckOffset(partition, offset), test.phase)
		err := (&plugin{}).CheckOffset(partition, append(offset, test.field))
		assert.Error(t, err, "found the field "+strings.TrimPrefix(test.field.Name, "second.")+
			", which this version does not know", test.phase)
	}
}

// storedAs returns a stored offset of a service with the given delta link.
func storedAs(fields map[string]any, link string) []wit.OffsetEntry {
	fields = maps.Clone(fields)
	tokenTime := strings.TrimSuffix(regexp.MustCompile(`D\d{14}_`).FindString(link), "_")
	for name, value := range fields {
		if text, ok := value.(string); ok {
			fields[name] = strings.ReplaceAll(text, "{TIME}", tokenTime)
		}
	}
	return configtest.Offset(fields)
}
