package main

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/plugins/odata/config/configtest"
	"github.com/culvert-project/culvert/plugins/odata/sinkconfig"
	"github.com/culvert-project/culvert/wit"
)

// Values are recommended from catalogue and metadata, errors are added to their settings, and settings without effect
// are hidden.
func TestValidationOfSettings(t *testing.T) {
	const missingService = "/sap/opu/odata/sap/NORTHWIND_SVR"
	service := odatatest.New(odatatest.Options{Switches: odatatest.Switches{Catalogue: 10}})
	// settingsOf returns the settings of an entity set, and more ones. The later of two equal settings wins.
	settingsOf := func(name string, more ...string) []string {
		return append([]string{"sap.odata#00.service=" + gateway, "sap.odata#00.entityset=" + name,
			"sap.odata#00.topic=t"}, more...)
	}
	for _, test := range []struct {
		name     string
		settings []string
		setting  string
		want     string // one of the recommended values; "" means that these are not checked
		wrong    string // the start of the errors; "" means that there is none
		visible  bool
	}{
		{name: "no entity set", setting: "sap.odata#00.service", want: gateway, wrong: "No entity set is configured",
			visible: true},
		{name: "service only", settings: []string{"sap.odata#00.service=" + gateway},
			setting: "sap.odata#00.entityset", want: "Orders", wrong: "Missing required", visible: true},
		{name: "topic", settings: settingsOf("Orders"), setting: "sap.odata#00.topic", want: "Orders", visible: true},
		{name: "another entity set", settings: settingsOf("Orders"), setting: "sap.odata#01.service", want: gateway,
			visible: true},
		{name: "mode", settings: settingsOf("Orders"), setting: "sap.odata.operation.mode", want: "upsert",
			visible: true},
		{name: "property of another mode", settings: settingsOf("Orders"),
			setting: "sap.odata.operation.mode.property"},
		{name: "missing property of the mode", settings: settingsOf("Orders", "sap.odata.operation.mode=dynamic"),
			setting: "sap.odata.operation.mode.property", wrong: "Missing required", visible: true},
		{name: "first request of another mode", settings: settingsOf("Orders"), setting: "sap.odata.upsert.first",
			want: "insert"},
		{name: "first request of the mode", settings: settingsOf("Orders", "sap.odata.operation.mode=upsert"),
			setting: "sap.odata.upsert.first", want: "insert", visible: true},
		{name: "conflict", settings: settingsOf("Orders", "sap.odata.etag=use"), setting: "sap.odata.etag.conflict",
			want: "retry", visible: true},
		{name: "misspelled entity set", settings: settingsOf("Ordres"), setting: "sap.odata#00.entityset",
			want: "Orders", wrong: "Entity set Ordres isn't in $metadata", visible: true},
		{name: "missing service", settings: settingsOf("Orders", "sap.odata#00.service="+missingService),
			setting: "sap.odata#00.service", want: gateway,
			wrong: "The service " + missingService + " doesn't exist", visible: true},
		{name: "two missing services", settings: settingsOf("Orders", "sap.odata#00.service="+missingService,
			"sap.odata#01.service="+missingService, "sap.odata#01.entityset=Orders"),
			setting: "sap.odata#01.service", want: gateway,
			wrong: "The service " + missingService + " doesn't exist", visible: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			values := validate(t, service, test.settings)
			i := slices.IndexFunc(values, func(v wit.ConfigValue) bool { return v.Key.Name == test.setting })
			require.True(t, i >= 0, "%v: %s is missing", test.settings, test.setting)
			value := values[i]
			assert.True(t, value.Visible == test.visible,
				"%v: %s: expected visible %v, found %v", test.settings, test.setting, test.visible, value.Visible)
			assert.True(t, test.want == "" || slices.Contains(value.Recommended, test.want),
				"%v: %s: expected the recommended value %q, found %.200q", test.settings, test.setting, test.want,
				value.Recommended)
			errors := strings.Join(value.Errors, "\n")
			assert.True(t, (errors == "") == (test.wrong == "") && strings.HasPrefix(errors, test.wrong),
				"%v: %s: expected the error %q, found %q", test.settings, test.setting, test.wrong, errors)
		})
	}
}

// validate returns the result of an online validation of settings, each NAME=VALUE, after its requests to the service.
func validate(t *testing.T, service http.Handler, settings []string) []wit.ConfigValue {
	t.Helper()
	run := &harness{t: t, service: service}
	var state []byte
	var responses []wit.Response
	const maxRounds = 20
	for range maxRounds {
		inquiry, err := newPlugin().Validate(sinkconfig.V2.Class, configuration(settings...), true, state, responses)
		require.NoError(t, err)
		if inquiry.Done != nil {
			return *inquiry.Done
		}
		state = inquiry.Pending.State
		responses = nil
		for _, request := range inquiry.Pending.Requests {
			responses = append(responses, run.exchange(&request))
		}
	}
	t.Fatalf("%v: the validation does not end within %d rounds", settings, maxRounds)
	return nil
}

// Every setting of the original connector is supported, an alias, or rejected by name.
func TestNamesOfTheOriginal(t *testing.T) {
	configtest.CheckNames(t, sinkconfig.V2.Table, "sink", "../../testdata/overview-names.txt")
}
