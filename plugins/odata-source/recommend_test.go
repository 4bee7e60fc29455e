package main

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/plugins/odata/probe"
	"github.com/culvert-project/culvert/plugins/odata/sourceconfig"
	"github.com/culvert-project/culvert/wit"
)

// validated returns the result of an online validation by the name of the setting.
func validated(t *testing.T, s http.Handler, settings ...string) (map[string]wit.ConfigValue, []string) {
	t.Helper()
	load := unopened(t, s)
	var state []byte
	var answers []wit.Response
	for range 20 {
		inquiry, err := load.p.Validate(sourceconfig.Component, configuration(settings...), true, state, answers)
		noError(t, err)
		if inquiry.Done != nil {
			all := map[string]wit.ConfigValue{}
			for _, e := range *inquiry.Done {
				if _, ok := all[e.Key.Name]; ok {
					t.Errorf("%s is repeated", e.Key.Name)
				}
				all[e.Key.Name] = e
			}
			return all, load.targets
		}
		state = inquiry.Pending.State
		answers = load.answers(inquiry.Pending)
	}
	t.Fatal("the validation does not end")
	return nil, nil
}

// entity returns the settings of an entity set of the demo's SAP service.
func entity(number, name string, more ...string) []string {
	prefix := "sap.odata#" + number + "."
	lines := []string{prefix + "service=" + sapNorthwind, prefix + "entityset=" + name, prefix + "topic=t" + number}
	for _, m := range more {
		lines = append(lines, prefix+m)
	}
	return lines
}

// Values are recommended from the catalogue and the metadata, step by step as a form is filled in.
func TestRecommendations(t *testing.T) {
	service := odatatest.New(odatatest.Options{Switches: odatatest.Switches{Catalogue: 10_000}})
	for _, test := range []struct {
		name     string
		settings []string
		setting  string
		want     []string // contained in the recommended values
		not      string   // prefix that none of them has
		most     int
	}{
		{"the first set", nil, "sap.odata#00.service", []string{sapNorthwind}, "", 1000},
		{"a prefix of the path", []string{"sap.odata#00.service=/sap/opu/odata/sap/NORTH"}, "sap.odata#00.service",
			[]string{sapNorthwind, odpNorthwind}, "/sap/opu/odata/sap/Z", 2},
		{"a prefix of a name behind the first thousand", []string{"sap.odata#00.service=zdemo_0999"},
			"sap.odata#00.service", []string{"/sap/opu/odata/sap/ZDEMO_09997_SRV"}, "/sap/opu/odata/sap/N", 10},
		{"sets", []string{"sap.odata#00.service=" + sapNorthwind}, "sap.odata#00.entityset",
			[]string{"Orders", "Customers"}, "", 30},
		{"a set's topic", entity("00", "Orders"), "sap.odata#00.topic", []string{"Orders"}, "", 1},
		{"properties", entity("00", "Orders"), "sap.odata#00.select", []string{"OrderID", "ShipCity"}, "Customer/", 20},
		{"properties of what is expanded", entity("00", "Orders", "expand=Customer"), "sap.odata#00.select",
			[]string{"Customer/City"}, "Order_Details/", 40},
		{"navigation properties", entity("00", "Orders", "expand=Order_Details"), "sap.odata#00.expand",
			[]string{"Customer", "Order_Details/Product"}, "Customer/", 20},
		{"cursors", entity("00", "Orders"), "sap.odata#00.cursor.property", []string{"OrderDate"}, "", 20},
		{"filters", entity("00", "Orders"), "sap.odata#00.filter#00.property", []string{"OrderDate"}, "", 20},
		{"operators", entity("00", "Orders"), "sap.odata#00.filter#00.option", []string{"eq", "bt"}, "", 9},
		{"the next condition", entity("00", "Orders", "filter#00.property=OrderID", "filter#00.option=gt",
			"filter#00.low=5"), "sap.odata#00.filter#01.property", []string{"OrderDate"}, "", 20},
		{"the next set", entity("00", "Orders"), "sap.odata#01.service", []string{sapNorthwind}, "", 1000},
		{"the next number has as many digits", entity("009", "Orders"), "sap.odata#010.service", []string{sapNorthwind},
			"", 1000},
		{"choices", entity("00", "Orders"), "sap.odata#00.format", []string{"json", "atom"}, "", 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			all, _ := validated(t, service, test.settings...)
			value, ok := all[test.setting]
			if !ok || !value.Visible {
				t.Fatalf("%s is hidden (%v)", test.setting, ok)
			}
			for _, want := range test.want {
				if !slices.Contains(value.Recommended, want) {
					t.Errorf("expected %s among %.300s", want, fmt.Sprint(value.Recommended))
				}
			}
			if len(value.Recommended) > test.most || slices.ContainsFunc(value.Recommended,
				func(v string) bool { return test.not != "" && strings.HasPrefix(v, test.not) }) {
				t.Errorf("expected at most %d and none with %s, found %d: %.300s", test.most, test.not,
					len(value.Recommended),
					fmt.Sprint(value.Recommended))
			}
			for name, e := range all {
				if len(e.Errors) > 0 && len(test.settings) > 2 {
					t.Errorf("%s: %v", name, e.Errors)
				}
			}
		})
	}
}

// Settings without effect are hidden, and so is the next set until the one before it is complete.
func TestVisibility(t *testing.T) {
	service := odatatest.New(odatatest.Options{})
	half := []string{"sap.odata#00.service=" + sapNorthwind}
	for _, test := range []struct {
		name     string
		settings []string
		setting  string
		visible  bool
	}{
		{name: "no next set", settings: half, setting: "sap.odata#01.service"},
		{name: "a set without its name", settings: half, setting: "sap.odata#00.page.size"},
		{name: "its mandatory settings", settings: half, setting: "sap.odata#00.topic", visible: true},
		{name: "a whole set", settings: entity("00", "Orders"), setting: "sap.odata#00.page.size", visible: true},
		{name: "the next set", settings: entity("00", "Orders"), setting: "sap.odata#01.entityset", visible: true},
		{name: "the next set's others", settings: entity("00", "Orders"), setting: "sap.odata#01.page.size"},
		{name: "not two", settings: entity("00", "Orders"), setting: "sap.odata#02.service"},
		{name: "no second condition", settings: entity("00", "Orders", "filter#00.property=OrderID"),
			setting: "sap.odata#00.filter#01.property"},
		{name: "full mode", settings: entity("00", "Orders"), setting: "sap.odata#00.deletes"},
		{name: "delta mode", settings: entity("00", "Orders", "track-changes=1", "exec-period=5"),
			setting: "sap.odata#00.deletes", visible: true},
		{name: "delta mode has no cursor", settings: entity("00", "Orders", "track-changes=1", "exec-period=5"),
			setting: "sap.odata#00.cursor.property"},
		{name: "take over", settings: entity("00", "Orders"), setting: "sap.odata.delta.takeover"},
		{name: "given is seen", settings: entity("00", "Orders", "deletes=both"), setting: "sap.odata#00.deletes",
			visible: true},
		{name: "no upper bound", settings: entity("00", "Orders", "filter#00.property=OrderID", "filter#00.option=eq",
			"filter#00.low=1"), setting: "sap.odata#00.filter#00.high"},
		{name: "not built", settings: entity("00", "Orders", "cron.expression=0 0 * * * ?"),
			setting: "sap.odata#00.cron.security.time.sec"},
		{name: "not built and harmless", settings: entity("00", "Orders", "cron.security.time.sec=0"),
			setting: "sap.odata#00.cron.security.time.sec", visible: true},
		{name: "no notifications", settings: entity("00", "Orders"), setting: "sap.odata.subscription.ports"},
		{name: "the switch for notifications", settings: entity("00", "Orders"),
			setting: "sap.odata#00.subscription.enable", visible: true},
		{name: "notifications", settings: entity("00", "Orders", "subscription.enable=1"),
			setting: "sap.odata.subscription.ports", visible: true},
		{name: "oauth", settings: entity("00", "Orders"), setting: "sap.odata.oauth.scope"},
		{name: "oauth asked for", settings: append(entity("00", "Orders"), "sap.odata.auth.type=oauth2"),
			setting: "sap.odata.oauth.scope", visible: true},
	} {
		values, _ := validated(t, service, test.settings...)
		if e := values[test.setting]; e.Visible != test.visible {
			t.Errorf("%s: %s: expected visible %v, found %v", test.name, test.setting, test.visible, e.Visible)
		}
	}
}

// Errors that only the service detects are added to their settings, all in one response.
func TestErrorsOfOnlineValidation(t *testing.T) {
	service := odatatest.New(odatatest.Options{Switches: odatatest.Switches{Catalogue: 10_000}})
	for _, test := range []struct {
		name     string
		settings []string
		want     map[string]string // by setting, part of the error
	}{
		{"nothing", entity("00", "Orders"), nil},
		{"a service", of("/sap/opu/odata/sap/NORTHWIND_SVR", "Orders"),
			map[string]string{"service": "the nearest name is " + sapNorthwind}},
		{"a service behind the first thousand", of("/sap/opu/odata/sap/ZDEMO_09997_SVR", "Orders"),
			map[string]string{"service": "the nearest name is /sap/opu/odata/sap/ZDEMO_0"}},
		{"a set", entity("00", "Ordres"), map[string]string{"entityset": "the nearest name is Orders"}},
		{"many", entity("00", "Orders", "select=OrderID,Shipp", "filter#00.property=Shipp", "filter#00.option=eq",
			"filter#00.low=1",
			"filter#01.property=OrderID", "filter#01.option=eq", "filter#01.low=x", "filter#02.property=OrderID",
			"filter#02.option=gt", "filter#02.low=5", "cursor.property=Freigt"),
			map[string]string{"select": "Shipp is no property", "filter#00.property": "Shipp is no property",
				"filter#01.low": "OrderID", "cursor.property": "the nearest name is Freight"}},
		{"an operator", entity("00", "Orders", "filter#00.property=OrderID", "filter#00.option=like",
			"filter#00.low=1"),
			map[string]string{"filter#00.option": "eq, ne, le, lt, ge, gt, bt, nb, in"}},
		{"a navigation property", entity("00", "Orders", "expand=Customr"),
			map[string]string{"expand": "the nearest name is Customer"}},
		{"delta mode where there is none", entity("00", "Employees", "track-changes=1", "exec-period=5"),
			map[string]string{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			all, _ := validated(t, service, test.settings...)
			for name, want := range test.want {
				if text := strings.Join(all["sap.odata#00."+name].Errors, "\n"); !strings.Contains(text, want) {
					t.Errorf("%s: expected %s, found %.600s", name, want, text)
				}
			}
			for name, e := range all {
				if _, ok := test.want[strings.TrimPrefix(name, "sap.odata#00.")]; len(e.Errors) > 0 && !ok {
					t.Errorf("%s: %v", name, e.Errors)
				}
			}
		})
	}
}

// announcing returns a service with one set whose changes are tracked and one whose changes are not.
func announcing(tracking string) http.Handler {
	return described(strings.Replace(metadataOf("ID", `<Property Name="ID" Type="Edm.Int32" Nullable="false"/>`),
		`<EntitySet Name="X" EntityType="N.T"/>`, `<EntitySet Name="Tracked" EntityType="N.T" `+tracking+
			`/><EntitySet Name="Whole" EntityType="N.T"/>`, 1), http.NotFound)
}

func TestDeltaOfSetWithoutTracking(t *testing.T) {
	const tracking = `sap:change-tracking="true"`
	for _, test := range []struct{ set, tracking, message, hint string }{
		{"Tracked", tracking, "", ""},
		{"Whole", tracking, "expected one of Tracked", ""},
		{"Whole", "", "", "announces no change tracking"},
	} {
		all, _ := validated(t, announcing(test.tracking), entity("00", test.set, "track-changes=1", "exec-period=5")...)
		e := all["sap.odata#00.track-changes"]
		if text := strings.Join(e.Errors, ""); !strings.Contains(text, test.message) ||
			(text == "") != (test.message == "") ||
			!strings.Contains(e.Key.Documentation, test.hint) {
			t.Errorf("%s: expected %q, found %q; %s", test.set, test.message, text, e.Key.Documentation)
		}
	}
}

// If a service does not respond, or not in time, the settings have no errors: nothing is recommended, except for a
// hint.
func TestNothingToRecommend(t *testing.T) {
	for _, status := range []int{404, 500, 504, 401} {
		handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, "CATALOGSERVICE") || status != 404 {
				http.Error(w, "no answer within 3s", status)
				return
			}
			odatatest.New(odatatest.Options{}).ServeHTTP(w, r)
		})
		all, targets := validated(t, handler, entity("00", "Orders")...)
		e := all["sap.odata#00.service"]
		if len(e.Errors) > 0 || len(e.Recommended) > 0 || !strings.Contains(e.Key.Documentation,
			"No services are suggested: ") {
			t.Errorf("%d: found %v %v %s", status, e.Errors, e.Recommended, e.Key.Documentation)
		}
		if len(targets) > 4 || !strings.HasPrefix(targets[0], sapNorthwind) || strings.Contains(targets[1], "$metadata") {
			t.Errorf("%d: expected at most 4 requests, of the configured service first, found %v", status, targets)
		}
	}
	// Without the service's address, no request is sent.
	alone := []wit.Setting{{Name: "sap.odata#00.service", Value: sapNorthwind}}
	inquiry, err := (&plugin{}).Validate(sourceconfig.Component, alone, true, nil, nil)
	if err != nil || inquiry.Done == nil {
		t.Errorf("found %v %+v", err, inquiry.Pending)
	}
}

// A catalogue that ignores $top and $filter is cut, and the work stays bounded.
func TestLargeCatalogue(t *testing.T) {
	var rows []string
	for i := range 10_000 {
		rows = append(rows, fmt.Sprintf(`{"TechnicalServiceName":"Z%05d","ServiceUrl":"/sap/opu/odata/sap/Z%05[1]d"}`,
			i))
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "CATALOGSERVICE") {
			fmt.Fprintf(w, `{"d":{"results":[%s]}}`, strings.Join(rows, ","))
			return
		}
		http.NotFound(w, r)
	})
	var settings []string
	for i := range 50 {
		number := fmt.Sprintf("%02d", i)
		settings = append(settings, set(number, "X")...)
		settings = append(settings, "sap.odata#"+number+".service=/sap/opu/odata/sap/Y000"+number)
	}
	start := time.Now()
	all, targets := validated(t, handler, settings...)
	size := 0
	n := 0
	for _, e := range all {
		if len(e.Recommended) > probe.MaxRecommended {
			t.Errorf("%s: %d values", e.Key.Name, len(e.Recommended))
		}
		for _, v := range e.Recommended {
			size += len(v)
			n++
		}
	}
	if size > probe.MaxRecommendedBytes+probe.MaxRecommendedBytes/4 || n < 1000 ||
		len(targets) > 1+2*probe.MaxServices+probe.MaxServices {
		t.Errorf("found %d values, %d bytes, %d requests", n, size, len(targets))
	}
	t.Log(time.Since(start), n, size, len(targets))
}
