package sink

import (
	"slices"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/plugins/odata/config/configtest"
	"github.com/culvert-project/culvert/plugins/odata/sinkconfig"
	"github.com/culvert-project/culvert/wit"
)

// Values are recommended from catalogue and metadata, errors are added to their settings, and settings without effect
// are hidden.
func TestRecommendations(t *testing.T) {
	service := odatatest.New(odatatest.Options{Switches: odatatest.Switches{Catalogue: 10}})
	settingsOf := func(name string, more ...string) []string {
		return append([]string{"sap.odata#00.service=" + gateway, "sap.odata#00.entityset=" + name,
			"sap.odata#00.topic=t"}, more...)
	}
	for _, test := range []struct {
		settings []string
		setting  string
		want     string // one of the recommended values
		wrong    string // the start of the errors; "" means that there is none
		visible  bool
	}{
		{setting: "sap.odata#00.service", want: gateway, wrong: "No entity set is configured", visible: true},
		{settings: settingsOf("")[:1], setting: "sap.odata#00.entityset", want: "Orders", wrong: "Missing required",
			visible: true},
		{settings: settingsOf("Orders"), setting: "sap.odata#00.topic", want: "Orders", visible: true},
		{settings: settingsOf("Orders"), setting: "sap.odata#01.service", want: gateway, visible: true},
		{settings: settingsOf("Orders"), setting: "sap.odata.operation.mode", want: "upsert", visible: true},
		{settings: settingsOf("Orders"), setting: "sap.odata.operation.mode.property"},
		{settings: settingsOf("Orders", "sap.odata.operation.mode=dynamic"),
			setting: "sap.odata.operation.mode.property", wrong: "Missing required", visible: true},
		{settings: settingsOf("Orders"), setting: "sap.odata.upsert.first", want: "insert"},
		{settings: settingsOf("Orders", "sap.odata.operation.mode=upsert"), setting: "sap.odata.upsert.first",
			want: "insert", visible: true},
		{settings: settingsOf("Orders", "sap.odata.etag=use"), setting: "sap.odata.etag.conflict", want: "retry",
			visible: true},
		{settings: settingsOf("Ordres"), setting: "sap.odata#00.entityset", want: "Orders",
			wrong: "Entity set Ordres isn't in $metadata", visible: true},
		{settings: append(settingsOf("Orders"), "sap.odata#00.service=/sap/opu/odata/sap/NORTHWIND_SVR"),
			setting: "sap.odata#00.service", want: gateway,
			wrong: "The service /sap/opu/odata/sap/NORTHWIND_SVR doesn't exist", visible: true},
		{settings: append(settingsOf("Orders"), "sap.odata#00.service=/sap/opu/odata/sap/NORTHWIND_SVR",
			"sap.odata#01.service=/sap/opu/odata/sap/NORTHWIND_SVR", "sap.odata#01.entityset=Orders"),
			setting: "sap.odata#01.service", want: gateway,
			wrong: "The service /sap/opu/odata/sap/NORTHWIND_SVR doesn't exist", visible: true},
	} {
		var state []byte
		var responses []wit.Response
		var done *[]wit.ConfigValue
		for range 20 {
			settings := configuration(test.settings...)
			inquiry, err := New("0.1.0").Validate(sinkconfig.Component, settings, true, state, responses)
			noError(t, err)
			done = inquiry.Done
			if done != nil {
				break
			}
			state = inquiry.Pending.State
			responses = nil
			for _, request := range inquiry.Pending.Requests {
				responses = append(responses, (&harness{t: t, service: service}).exchange(&request))
			}
		}
		if done == nil {
			t.Fatal("the validation does not end")
		}
		i := slices.IndexFunc(*done, func(v wit.ConfigValue) bool { return v.Key.Name == test.setting })
		if i < 0 {
			t.Errorf("%v: %s is missing", test.settings, test.setting)
			continue
		}
		value := (*done)[i]
		errors := strings.Join(value.Errors, "\n")
		if value.Visible != test.visible || (test.want != "" && !slices.Contains(value.Recommended, test.want)) ||
			(errors == "") != (test.wrong == "") || !strings.HasPrefix(errors, test.wrong) {
			t.Errorf("%v: %s: expected visible %v, %q and error %q, found %v, %.200q and %q", test.settings,
				test.setting, test.visible, test.want, test.wrong, value.Visible, value.Recommended, errors)
		}
	}
}

// Every setting of the original connector is supported, an alias, or rejected by name.
func TestNamesOfTheOriginal(t *testing.T) {
	configtest.CheckNames(t, sinkconfig.Table, "sink", "../../../testdata/overview-names.txt")
}
