package main

import (
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/plugins/odata/sourceconfig"
	"github.com/culvert-project/culvert/wit"
)

// TestDeadLetterIsDecodedAgain decodes rows as dead letters contain them, outside of any load, as a replay does.
func TestDeadLetterIsDecodedAgain(t *testing.T) {
	const (
		entity4  = `{"value":[{"@odata.etag":"W/\"1\"","ID":7}]}`
		removed  = `{"value":[{"@removed":{"reason":"changed"},"@id":"Whole(7)"}]}`
		deleted  = `{"value":[{"@odata.context":"$metadata#Whole/$deletedEntity","id":"Whole(7)","reason":"deleted"}]}`
		tracking = "sap.odata#00.track-changes=1"
	)
	for _, test := range []struct {
		name     string
		class    *sourceconfig.Component
		settings []string
		body     string
		fault    bool
	}{
		{name: "v2", class: sourceconfig.V2, body: `{"d":{"ID":7}}`},
		{name: "v2, delta mode", class: sourceconfig.V2, settings: []string{tracking, "sap.odata#00.format=json"},
			body: `{"d":{"ID":7}}`},
		{name: "v4", class: sourceconfig.V4, body: entity4},
		{name: "v4, delta mode", class: sourceconfig.V4, settings: []string{tracking}, body: entity4},
		{name: "a delete of 4.01", class: sourceconfig.V4, settings: []string{tracking}, body: removed},
		{name: "a delete of 4.0", class: sourceconfig.V4, settings: []string{tracking}, body: deleted},
		{name: "a row that fails again", class: sourceconfig.V4, body: `{"value":[{"ID":"x"}]}`, fault: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			service := trackingService("")
			if test.class == sourceconfig.V4 {
				service = trackingService4("")
			}
			load := newUnopened(t, service)
			load.class = test.class
			require.NoError(t, load.open(append(setOf("/s", "Whole", "sap.odata#00.exec-period=60"), test.settings...)...))
			page, err := load.p.Begin(load.opened.Context, 0, nil, wit.Response{Status: 200, ReceivedAt: readAt})
			require.NoError(t, err)
			last := uint32(0)
			require.NoError(t, load.decode(page, "", wit.Response{Status: 200, Body: []byte(test.body)},
				&wit.DecodeResult{}, &last))
			if test.fault {
				assert.True(t, len(load.faults) == 1 && len(load.rows) == 0, "expected a fault, found %v", load.rows)
				return
			}
			assert.Equal(t, []string{"[7]"}, load.rows)
			assert.Equal(t, 0, len(load.faults))
		})
	}
}
