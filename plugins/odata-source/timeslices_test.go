package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/plugins/odata/paging"
)

// timeSlices returns a service whose rows are slices of today: it selects by the state of another slice, as SAP
// SuccessFactors does for effective-dated sets such as EmpJob. shown replaces the texts that match hidden, in responses
// to requests that contain a text.
func timeSlices(hidden *regexp.Regexp, shown, part string, options odatatest.Options) http.Handler {
	service := odatatest.New(options)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		recorder := httptest.NewRecorder()
		service.ServeHTTP(recorder, r)
		for name, values := range recorder.Header() {
			if name != "Content-Length" {
				w.Header()[name] = values
			}
		}
		w.WriteHeader(recorder.Code)
		body := recorder.Body.Bytes()
		if !strings.Contains(r.URL.Path, "$metadata") && strings.Contains(r.URL.RawQuery, part) {
			body = hidden.ReplaceAll(body, []byte(shown))
		}
		_, _ = bytes.NewReader(body).WriteTo(w)
	})
}

// Rows that contradict a condition which the service heeds are passed on.
func TestTimeSlices(t *testing.T) {
	const rows = 2500
	options := odatatest.Options{Rows: rows, Switches: odatatest.Switches{PageSize: 100}}
	country := regexp.MustCompile(`"ShipCountry":"[^"]*"`)
	for _, test := range []struct {
		name     string
		settings []string
		part     string // where rows contradict the condition, in requests; "" means everywhere
	}{
		{name: "links", settings: []string{"sap.odata#00.paging=links"}},
		{name: "links without count", settings: []string{"sap.odata#00.paging=links", "sap.odata#00.count=none"}},
		{name: "a later link", settings: []string{"sap.odata#00.paging=links"}, part: "$skiptoken"},
		{name: "a later link without count", part: "$skiptoken",
			settings: []string{"sap.odata#00.paging=links", "sap.odata#00.count=none"}},
		{name: "keys", settings: []string{"sap.odata#00.paging=keys"}},
		{name: "a later page by key", settings: []string{"sap.odata#00.paging=keys"}, part: "OrderID%20ge"},
		{name: "top", settings: []string{"sap.odata#00.paging=top", "sap.odata#00.page.size=100"}},
	} {
		settings := join(set("00", "Orders"), condition("1", "ShipCountry", "eq", "Germany"),
			[]string{"sap.odata#00.exec-period=60"}, test.settings)
		plain := loadSet(t, odatatest.New(options), settings...)
		load := newLoad(t, timeSlices(country, `"ShipCountry":"Elsewhere"`, test.part, options), settings...)
		offset, err := load.run(0, nil)
		if err != nil || len(load.rows) != len(plain.rows) || len(plain.rows) < 100 || len(plain.rows) == rows {
			t.Errorf("%s: expected %d rows, found %d, %v", test.name, len(plain.rows), len(load.rows), err)
		}
		heeded := paging.LookupText(offset, "applied")
		assert.Equal(t, "sap.odata#00.filter#1.option,", heeded, test.name, "the condition among those that are heeded")
		if again := load.poll(offset); again == nil || len(load.rows) != len(plain.rows) {
			t.Errorf("%s: expected %d rows of a second load, found %d", test.name, len(plain.rows), len(load.rows))
		}
	}
}

// The same holds for the condition of a cursor.
func TestTimeSlicesByCursor(t *testing.T) {
	options := odatatest.Options{Rows: 2500, Switches: odatatest.Switches{PageSize: 100}}
	date := regexp.MustCompile(`"OrderDate":"[^"]*"`)
	const shown = `"OrderDate":"\/Date(0)\/"`
	settings := append(set("00", "Orders"), "sap.odata#00.cursor.property=OrderDate",
		"sap.odata#00.cursor.lookback=15000000", "sap.odata#00.exec-period=60")
	load := loadSet(t, odatatest.New(options), settings...)
	offset := load.readAll(nil)
	load.service = timeSlices(date, shown, "", options)
	load.poll(offset)
	n := len(load.rows)
	assert.True(t, n >= 100 && n <= 2000, "expected the rows of the look-back, found %d", n)
}

// A condition is not taken for applied if nothing shows it: the request without it is rejected, a row cannot be
// decoded, or rows of the page were delivered and may not be delivered again.
func TestConditionThatMayBeIgnored(t *testing.T) {
	options := odatatest.Options{Rows: 500, Switches: odatatest.Switches{PageSize: 100}}
	ignoring := func(change func(r *http.Request, body string) string) http.Handler {
		service := odatatest.New(options)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			query := r.URL.RawQuery
			if !strings.Contains(query, "$filter") && strings.Contains(query, "$orderby") && change == nil {
				w.Header().Set("DataServiceVersion", "2.0")
				http.Error(w, "a filter is required", http.StatusBadRequest)
				return
			}
			r.URL.RawQuery = strings.ReplaceAll(query, "$filter", "x")
			recorder := httptest.NewRecorder()
			service.ServeHTTP(recorder, r)
			body := recorder.Body.String()
			if change != nil {
				r.URL.RawQuery = query
				body = change(r, body)
			}
			w.Header().Set("DataServiceVersion", "2.0")
			w.Header().Set("Content-Type", recorder.Header().Get("Content-Type"))
			w.WriteHeader(recorder.Code)
			_, _ = strings.NewReader(body).WriteTo(w)
		})
	}
	undecodable := regexp.MustCompile(`"Freight":"[^"]*"`)
	for name, service := range map[string]http.Handler{
		"the request without it is rejected": ignoring(nil),
		"a row cannot be decoded": ignoring(func(r *http.Request, body string) string {
			first := undecodable.FindStringIndex(body)
			if first != nil && !strings.Contains(r.URL.RawQuery, "$select") {
				body = body[:first[0]] + `"Freight":"no number"` + body[first[1]:]
			}
			return body
		}),
	} {
		settings := join(set("00", "Orders"), condition("1", "ShipCountry", "eq", "Germany"))
		load := newLoad(t, service, settings...)
		if _, err := load.readPages(0, nil, 20); !errorContains(err, "ignores it") || len(load.rows) > 1 {
			t.Errorf("%s: expected an error about the condition, found %d rows, %v", name, len(load.rows), err)
		}
	}
	late := regexp.MustCompile(`(?s)^((?:.*?"ShipCountry":"Germany"){4}.*?"ShipCountry":)"Germany"`)
	for _, isExactlyOnce := range []bool{false, true} {
		settings := join(set("00", "Orders"), condition("1", "ShipCountry", "eq", "Germany"))
		if isExactlyOnce {
			settings = append(settings, "sap.odata#00.incomplete.load=fail")
		}
		load := newLoad(t, timeSlices(late, `${1}"Elsewhere"`, "", options), settings...)
		_, err := load.readPages(0, nil, 20)
		assert.True(t, errorContains(err, "which exactly-once excludes") == isExactlyOnce && len(load.rows) != 0,
			"exactly once %v: found %d rows, %v", isExactlyOnce, len(load.rows), err)
	}
}
