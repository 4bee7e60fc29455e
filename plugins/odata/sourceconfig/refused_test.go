package sourceconfig

import (
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/plugins/odata/config/configtest"
)

// TestSettingsOfV2InV4: the class for v4 refuses settings whose subject only v2 has, by name and with the reason.
// Values that change nothing in v2 are accepted, so that settings can be taken over.
func TestSettingsOfV2InV4(t *testing.T) {
	for _, test := range []struct {
		setting string // without its prefix, and with its value
		reason  string // "" means that it is accepted
	}{
		{setting: ".format=atom", reason: "rows of OData v4 are in JSON"},
		{setting: "#00.format=atom", reason: "rows of OData v4 are in JSON"},
		{setting: ".format=json"},
		{setting: "#00.format=JSON"},
		{setting: ".date.mapping=date", reason: "OData v4 has a type for dates, Edm.Date"},
		{setting: "#00.date.mapping=date", reason: "OData v4 has a type for dates, Edm.Date"},
		{setting: "#00.date.mapping=timestamp"},
		{setting: ".datetime.zone=UTC", reason: "points in time of OData v4 have an offset"},
		{setting: "#00.datetime.zone="},
		{setting: ".delta.takeover=true", reason: "ODP services are of OData v2"},
		{setting: ".delta.takeover=0"},
		{setting: ".delta.takeover=false"},
		{setting: "#00.before.images=drop", reason: "ODP services are of OData v2"},
		{setting: "#00.before.images=keep"},
		{setting: "#00.delta.kind=additive", reason: "ODP services are of OData v2"},
		{setting: "#00.delta.kind=images"},
		{setting: "#00.subscription.enable=1", reason: "SAP's subscriptions are of OData v2"},
		{setting: "#00.subscription.enable=false"},
		{setting: ".subscription.dest=D", reason: "SAP's subscriptions are of OData v2"},
		{setting: ".subscription.ports=8301", reason: "SAP's subscriptions are of OData v2"},
	} {
		name, value, _ := strings.Cut("sap.odata"+test.setting, "=")
		settings := append(configtest.Set("00", "Orders"), name+"="+value)
		failure := V4.FirstError(configtest.Source(settings...))
		switch {
		case test.reason == "":
			assert.True(t, failure == nil, "%s: expected no error, found %v", test.setting, failure)
		case failure == nil:
			t.Errorf("%s: expected an error, found none", test.setting)
		default:
			message := "Value " + value + " for configuration " + name + " is not supported: " + test.reason +
				"; leave the setting out"
			assert.Equal(t, message, failure.Message, test.setting)
		}
	}
}
