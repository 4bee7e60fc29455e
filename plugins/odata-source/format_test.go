package main

import (
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/wit"
)

// A service that rejects $format receives it once in every mode. Loads, changes, snapshots, entities named by a
// notification, and later loads omit it, also after a restart.
func TestRejectedFormatIsOmitted(t *testing.T) {
	for name, settings := range map[string][]string{
		"delta mode":    deltaSet("Orders", "sap.odata#00.format=json"),
		"notifications": notifiedSet("Orders"),
		"a period":      append(set("00", "Orders"), "sap.odata#00.exec-period=60"),
		"a cursor": append(set("00", "Orders"), "sap.odata#00.exec-period=60",
			"sap.odata#00.cursor.property=OrderDate"),
	} {
		t.Run(name, func(t *testing.T) {
			service := odatatest.New(odatatest.Options{Rows: 35, Subscriptions: true,
				Switches: odatatest.Switches{PageSize: 10, RefuseFormat: true, SkipToken: "offset"}})
			follower := followSet(t, service, settings...)
			follower.checkTopic(service, "Orders", "OrderID", "ShipName")
			follower.start() // a new instance without cached state
			causes := []wit.PollReason{poll, {Snapshot: wit.Ptr("4711")}, poll}
			if name == "notifications" {
				causes = []wit.PollReason{{Trigger: wit.Ptr("(10250)")}}
				write(t, service, "MERGE", "Orders(10250)", map[string]any{"ShipName": "Changed"})
			}
			for _, reason := range causes {
				follower.now += 100_000
				require.NoError(t, follower.catchUp(reason))
			}
			follower.checkTopic(service, "Orders", "OrderID", "ShipName")
			requests := 0
			for _, target := range follower.targets {
				if strings.Contains(target, "$format") {
					requests++
				}
			}
			assert.True(t, requests == 1,
				"expected one request with $format, found %d:\n%s", requests, strings.Join(follower.targets, "\n"))
		})
	}
}
