package main

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/plugins/odata/probe"
	"github.com/culvert-project/culvert/plugins/odata/sourceconfig"
	"github.com/culvert-project/culvert/wit"
)

// validateOnline returns the result of an online validation by the name of the setting, and its requests' targets.
func validateOnline(t *testing.T, class *sourceconfig.Component, s http.Handler,
	settings ...string) (map[string]wit.ConfigValue, []string) {
	t.Helper()
	load := newUnopened(t, s)
	var state []byte
	var answers []wit.Response
	for range 20 {
		inquiry, err := load.p.Validate(class.Class, configuration(settings...), true, state, answers)
		require.NoError(t, err)
		if inquiry.Done != nil {
			values := map[string]wit.ConfigValue{}
			for _, value := range *inquiry.Done {
				_, ok := values[value.Key.Name]
				assert.True(t, !ok, "%s is repeated", value.Key.Name)
				values[value.Key.Name] = value
			}
			return values, load.targets
		}
		state = inquiry.Pending.State
		answers = load.exchangeAll(inquiry.Pending)
	}
	t.Fatal("the validation does not end")
	return nil, nil
}

// sapSet returns the settings of an entity set of the demo's SAP service.
func sapSet(number, name string, more ...string) []string {
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
		name      string
		settings  []string
		setting   string
		want      []string // contained in the recommended values
		want4     []string // the same of v4, unless want has its values, too
		notPrefix string   // no recommended value has it
		maxCount  int      // of recommended values
	}{
		{name: "the first set", setting: "sap.odata#00.service", want: []string{sapNorthwind}, maxCount: 1000},
		{name: "a prefix of the path", settings: []string{"sap.odata#00.service=/sap/opu/odata/sap/NORTH"},
			setting: "sap.odata#00.service", want: []string{sapNorthwind, odpNorthwind}, want4: []string{sapNorthwind},
			notPrefix: "/sap/opu/odata/sap/Z", maxCount: 2},
		{name: "a prefix of a name behind the first thousand", settings: []string{"sap.odata#00.service=zdemo_0999"},
			setting: "sap.odata#00.service", want: []string{"/sap/opu/odata/sap/ZDEMO_09997_SRV"},
			want4:     []string{"/sap/opu/odata4/sap/zdemo_09997/srvd_a2x/sap/zdemo_09997/0001"},
			notPrefix: "/sap/opu/odata/sap/N", maxCount: 10},
		{name: "sets", settings: []string{"sap.odata#00.service=" + sapNorthwind}, setting: "sap.odata#00.entityset",
			want: []string{"Orders", "Customers"}, maxCount: 30},
		{name: "a set's topic", settings: sapSet("00", "Orders"), setting: "sap.odata#00.topic",
			want: []string{"Orders"}, maxCount: 1},
		{name: "properties", settings: sapSet("00", "Orders"), setting: "sap.odata#00.select",
			want: []string{"OrderID", "ShipCity"}, notPrefix: "Customer/", maxCount: 20},
		{name: "properties of what is expanded", settings: sapSet("00", "Orders", "expand=Customer"),
			setting: "sap.odata#00.select", want: []string{"Customer/City"}, notPrefix: "Order_Details/", maxCount: 40},
		{name: "navigation properties", settings: sapSet("00", "Orders", "expand=Order_Details"),
			setting: "sap.odata#00.expand", want: []string{"Customer", "Order_Details/Product"},
			notPrefix: "Customer/", maxCount: 20},
		{name: "cursors", settings: sapSet("00", "Orders"), setting: "sap.odata#00.cursor.property",
			want: []string{"OrderDate"}, maxCount: 20},
		{name: "filters", settings: sapSet("00", "Orders"), setting: "sap.odata#00.filter#00.property",
			want: []string{"OrderDate"}, maxCount: 20},
		{name: "operators", settings: sapSet("00", "Orders"), setting: "sap.odata#00.filter#00.option",
			want: []string{"eq", "bt"}, maxCount: 9},
		{name: "the next condition", settings: sapSet("00", "Orders", "filter#00.property=OrderID",
			"filter#00.option=gt", "filter#00.low=5"), setting: "sap.odata#00.filter#01.property",
			want: []string{"OrderDate"}, maxCount: 20},
		{name: "the next set", settings: sapSet("00", "Orders"), setting: "sap.odata#01.service",
			want: []string{sapNorthwind}, maxCount: 1000},
		{name: "the next number has as many digits", settings: sapSet("009", "Orders"),
			setting: "sap.odata#010.service", want: []string{sapNorthwind}, maxCount: 1000},
		{name: "choices", settings: sapSet("00", "Orders"), setting: "sap.odata#00.format",
			want: []string{"json", "atom"}, maxCount: 2},
	} {
		check := func(t *testing.T, class *sourceconfig.Component) {
			values, _ := validateOnline(t, class, service, test.settings...)
			value, ok := values[test.setting]
			require.True(t, ok && value.Visible, "%s is hidden (%v)", test.setting, ok)
			for _, want := range test.want {
				assert.True(t, slices.Contains(value.Recommended, want),
					"expected %s among %.300s", want, fmt.Sprint(value.Recommended))
			}
			isUnexpected := func(v string) bool { return test.notPrefix != "" && strings.HasPrefix(v, test.notPrefix) }
			if len(value.Recommended) > test.maxCount || slices.ContainsFunc(value.Recommended, isUnexpected) {
				t.Errorf("expected at most %d and none with %s, found %d: %.300s", test.maxCount, test.notPrefix,
					len(value.Recommended), fmt.Sprint(value.Recommended))
			}
			for name, e := range values {
				assert.True(t, len(e.Errors) == 0 || len(test.settings) <= 2, "%s: %v", name, e.Errors)
			}
		}
		t.Run(test.name, func(t *testing.T) { check(t, sourceconfig.V2) })
		var ok bool
		if test.want4 == nil {
			test.want4 = test.want
		}
		if test.want, ok = asV4(test.want4); !ok {
			continue
		}
		test.settings, _ = asV4(test.settings)
		test.notPrefix = toV4.Replace(test.notPrefix)
		t.Run(test.name+", v4", func(t *testing.T) { check(t, sourceconfig.V4) })
	}
}

// Settings without effect are hidden, and so is the next set until the one before it is complete.
func TestVisibility(t *testing.T) {
	service := odatatest.New(odatatest.Options{})
	incomplete := []string{"sap.odata#00.service=" + sapNorthwind}
	for _, test := range []struct {
		name     string
		settings []string
		setting  string
		visible  bool
	}{
		{name: "no next set", settings: incomplete, setting: "sap.odata#01.service"},
		{name: "a set without its name", settings: incomplete, setting: "sap.odata#00.page.size"},
		{name: "its mandatory settings", settings: incomplete, setting: "sap.odata#00.topic", visible: true},
		{name: "a whole set", settings: sapSet("00", "Orders"), setting: "sap.odata#00.page.size", visible: true},
		{name: "the next set", settings: sapSet("00", "Orders"), setting: "sap.odata#01.entityset", visible: true},
		{name: "the next set's others", settings: sapSet("00", "Orders"), setting: "sap.odata#01.page.size"},
		{name: "no second next set", settings: sapSet("00", "Orders"), setting: "sap.odata#02.service"},
		{name: "no second condition", settings: sapSet("00", "Orders", "filter#00.property=OrderID"),
			setting: "sap.odata#00.filter#01.property"},
		{name: "full mode", settings: sapSet("00", "Orders"), setting: "sap.odata#00.deletes"},
		{name: "delta mode", settings: sapSet("00", "Orders", "track-changes=1", "exec-period=5"),
			setting: "sap.odata#00.deletes", visible: true},
		{name: "delta mode has no cursor", settings: sapSet("00", "Orders", "track-changes=1", "exec-period=5"),
			setting: "sap.odata#00.cursor.property"},
		{name: "full mode has no takeover", settings: sapSet("00", "Orders"), setting: "sap.odata.delta.takeover"},
		{name: "a setting without effect that is set", settings: sapSet("00", "Orders", "deletes=both"),
			setting: "sap.odata#00.deletes", visible: true},
		{name: "no upper bound", settings: sapSet("00", "Orders", "filter#00.property=OrderID", "filter#00.option=eq",
			"filter#00.low=1"), setting: "sap.odata#00.filter#00.high"},
		{name: "not built", settings: sapSet("00", "Orders", "cron.expression=0 0 * * * ?"),
			setting: "sap.odata#00.cron.security.time.sec"},
		{name: "not built and harmless", settings: sapSet("00", "Orders", "cron.security.time.sec=0"),
			setting: "sap.odata#00.cron.security.time.sec", visible: true},
		{name: "no notifications", settings: sapSet("00", "Orders"), setting: "sap.odata.subscription.ports"},
		{name: "the switch for notifications", settings: sapSet("00", "Orders"),
			setting: "sap.odata#00.subscription.enable", visible: true},
		{name: "notifications", settings: sapSet("00", "Orders", "subscription.enable=1"),
			setting: "sap.odata.subscription.ports", visible: true},
		{name: "oauth", settings: sapSet("00", "Orders"), setting: "sap.odata.oauth.scope"},
		{name: "oauth configured", settings: append(sapSet("00", "Orders"), "sap.odata.auth.type=oauth2"),
			setting: "sap.odata.oauth.scope", visible: true},
	} {
		values, _ := validateOnline(t, sourceconfig.V2, service, test.settings...)
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
		{name: "no errors", settings: sapSet("00", "Orders")},
		{name: "a service", settings: setOf("/sap/opu/odata/sap/NORTHWIND_SVR", "Orders"),
			want: map[string]string{"service": "the nearest name is " + sapNorthwind}},
		{name: "a service behind the first thousand", settings: setOf("/sap/opu/odata/sap/ZDEMO_09997_SVR", "Orders"),
			want: map[string]string{"service": "the nearest name is /sap/opu/odata/sap/ZDEMO_0"}},
		{name: "a set", settings: sapSet("00", "Ordres"),
			want: map[string]string{"entityset": "the nearest name is Orders"}},
		{name: "many", settings: sapSet("00", "Orders", "select=OrderID,Shipp", "filter#00.property=Shipp",
			"filter#00.option=eq", "filter#00.low=1", "filter#01.property=OrderID", "filter#01.option=eq",
			"filter#01.low=x", "filter#02.property=OrderID", "filter#02.option=gt", "filter#02.low=5",
			"cursor.property=Freigt"),
			want: map[string]string{
				"select":             "Shipp is no property",
				"filter#00.property": "Shipp is no property",
				"filter#01.low":      "OrderID",
				"cursor.property":    "the nearest name is Freight",
			}},
		{name: "an operator", settings: sapSet("00", "Orders", "filter#00.property=OrderID", "filter#00.option=like",
			"filter#00.low=1"),
			want: map[string]string{"filter#00.option": "eq, ne, le, lt, ge, gt, bt, nb, in"}},
		{name: "a navigation property", settings: sapSet("00", "Orders", "expand=Customr"),
			want: map[string]string{"expand": "the nearest name is Customer"}},
		{name: "delta mode without announced delta links",
			settings: sapSet("00", "Employees", "track-changes=1", "exec-period=5")},
	} {
		check := func(t *testing.T, class *sourceconfig.Component) {
			values, _ := validateOnline(t, class, service, test.settings...)
			for name, want := range test.want {
				if class == sourceconfig.V4 {
					want = toV4.Replace(want)
				}
				problems := strings.Join(values["sap.odata#00."+name].Errors, "\n")
				assert.True(t, strings.Contains(problems, want), "%s: expected %s, found %.600s", name, want, problems)
			}
			for name, e := range values {
				_, ok := test.want[strings.TrimPrefix(name, "sap.odata#00.")]
				assert.True(t, len(e.Errors) == 0 || ok, "%s: %v", name, e.Errors)
			}
		}
		t.Run(test.name, func(t *testing.T) { check(t, sourceconfig.V2) })
		test.settings, _ = asV4(test.settings)
		t.Run(test.name+", v4", func(t *testing.T) { check(t, sourceconfig.V4) })
	}
}

// trackingService returns a service with one set whose changes are tracked and one whose changes are not.
func trackingService(tracking string) http.Handler {
	return withMetadata(strings.Replace(metadataOf("ID", `<Property Name="ID" Type="Edm.Int32" Nullable="false"/>`),
		`<EntitySet Name="X" EntityType="N.T"/>`, `<EntitySet Name="Tracked" EntityType="N.T" `+tracking+
			`/><EntitySet Name="Whole" EntityType="N.T"/>`, 1), http.NotFound)
}

// trackingService4 is [trackingService] of v4, with an annotation.
func trackingService4(tracking string) http.Handler {
	return withMetadata(`<edmx:Edmx Version="4.0" xmlns:edmx="http://docs.oasis-open.org/odata/ns/edmx">`+
		`<edmx:DataServices><Schema Namespace="N" xmlns="http://docs.oasis-open.org/odata/ns/edm">`+
		`<EntityType Name="T"><Key><PropertyRef Name="ID"/></Key><Property Name="ID" Type="Edm.Int32" Nullable="false"/>`+
		`</EntityType><EntityContainer Name="C"><EntitySet Name="Tracked" EntityType="N.T">`+tracking+`</EntitySet>`+
		`<EntitySet Name="Whole" EntityType="N.T"/></EntityContainer></Schema></edmx:DataServices></edmx:Edmx>`,
		http.NotFound)
}

// Delta mode of a set without change tracking is an error if the service announces tracking for another set, and
// otherwise a hint.
func TestDeltaOfSetWithoutTracking(t *testing.T) {
	const tracking = `sap:change-tracking="true"`
	const tracking4 = `<Annotation Term="Org.OData.Capabilities.V1.ChangeTracking"><Record><PropertyValue ` +
		`Property="Supported" Bool="true"/></Record></Annotation>`
	for _, test := range []struct {
		set      string
		tracking string // the annotation of the set Tracked
		message  string
		hint     string
		class    *sourceconfig.Component // Nil means v2.
	}{
		{set: "Tracked", tracking: tracking},
		{set: "Whole", tracking: tracking, message: "expected one of Tracked"},
		{set: "Whole", hint: "announces no change tracking"},
		{set: "Tracked", tracking: tracking4, class: sourceconfig.V4},
		{set: "Whole", tracking: tracking4, class: sourceconfig.V4,
			message: "(Capabilities.ChangeTracking) for other entity sets and not for Whole; expected one of Tracked"},
		{set: "Whole", hint: "announces no change tracking", class: sourceconfig.V4},
	} {
		settings := sapSet("00", test.set, "track-changes=1", "exec-period=5")
		service := trackingService(test.tracking)
		if test.class != nil {
			service = trackingService4(test.tracking)
		}
		values, _ := validateOnline(t, cmp.Or(test.class, sourceconfig.V2), service, settings...)
		e := values["sap.odata#00.track-changes"]
		problems := strings.Join(e.Errors, "")
		assert.True(t, strings.Contains(problems, test.message) && (problems == "") == (test.message == "") &&
			strings.Contains(e.Key.Documentation, test.hint),
			"%s: expected %q, found %q; %s", test.set, test.message, problems, e.Key.Documentation)
	}
}

// If a service does not respond, or not in time, the settings have no errors: nothing is recommended, except for a
// hint.
func TestNothingToRecommend(t *testing.T) {
	for _, test := range []struct {
		status int
		class  *sourceconfig.Component
	}{{404, sourceconfig.V2}, {500, sourceconfig.V2}, {504, sourceconfig.V2}, {401, sourceconfig.V2},
		{404, sourceconfig.V4}, {500, sourceconfig.V4}} {
		status := test.status
		settings := sapSet("00", "Orders")
		service := sapNorthwind
		if test.class == sourceconfig.V4 {
			settings, _ = asV4(settings)
			service = toV4.Replace(service)
		}
		handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(strings.ToLower(r.URL.Path), "/iwfnd/") || status != 404 {
				http.Error(w, "no answer within 3s", status)
				return
			}
			odatatest.New(odatatest.Options{}).ServeHTTP(w, r)
		})
		values, targets := validateOnline(t, test.class, handler, settings...)
		e := values["sap.odata#00.service"]
		assert.True(t, len(e.Errors) == 0 && len(e.Recommended) == 0 &&
			strings.Contains(e.Key.Documentation, "No services are suggested: "),
			"%d: expected only a hint, found %v %v %s", status, e.Errors, e.Recommended, e.Key.Documentation)
		assert.True(t, len(targets) <= 4 && strings.HasPrefix(targets[0], service) &&
			!strings.Contains(targets[1], "$metadata"),
			"%d: expected at most 4 requests, of the configured service first, found %v", status, targets)
	}
	// Without the service's address, no request is sent.
	settings := []wit.Setting{{Name: "sap.odata#00.service", Value: sapNorthwind}}
	inquiry, err := (&plugin{}).Validate(sourceconfig.V2.Class, settings, true, nil, nil)
	assert.True(t, err == nil && inquiry.Done != nil,
		"expected a result without requests, found %v %+v", err, inquiry.Pending)
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
	values, targets := validateOnline(t, sourceconfig.V2, handler, settings...)
	size := 0
	n := 0
	for _, e := range values {
		assert.AtMost(t, probe.MaxRecommended, len(e.Recommended), e.Key.Name, "values")
		for _, v := range e.Recommended {
			size += len(v)
			n++
		}
	}
	assert.True(t, size <= probe.MaxRecommendedBytes+probe.MaxRecommendedBytes/4 && n >= 1000 &&
		len(targets) <= 1+2*probe.MaxServices+probe.MaxServices,
		"expected at least 1000 values of limited size and requests, found %d values, %d bytes, %d requests", n, size,
		len(targets))
	t.Log(time.Since(start), n, size, len(targets))
}
