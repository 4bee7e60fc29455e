package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/plugins/odata/sourceconfig"
)

// toV4 turns settings and parts of requests for the demo service's v2 addresses into those for its v4 addresses.
var toV4 = strings.NewReplacer("/V2/Northwind/Northwind.svc", strings.TrimSuffix(odatatest.Northwind4Path, "/"),
	"/sap/opu/odata/sap/NORTHWIND_SVR", "/sap/opu/odata4/sap/northwind/srvd_a2x/sap/nortwind/0001",
	"/sap/opu/odata/sap/ZDEMO_09997_SVR", "/sap/opu/odata4/sap/zdemo_09997/srvd_a2x/sap/zdemo_099/0001",
	"/sap/opu/odata/sap/ZDEMO_0", "/sap/opu/odata4/sap/zdemo_0",
	sapNorthwind, strings.TrimSuffix(odatatest.SAP4Path, "/"), "$inlinecount=allpages", "$count=true",
	"/sap/opu/odata/sap/", "/sap/opu/odata4/sap/", "$inlinecount", "$count", "&$format=json", "", "$format=json&", "", "?$format=json", "", "&$format", "")

// asV4 returns settings and requests of a test of v2 for a service of v4. ok is false if v4 has no such test.
func asV4(texts []string) (converted []string, ok bool) {
	for _, text := range texts {
		if strings.Contains(strings.ToLower(text), "atom") {
			return nil, false
		}
		converted = append(converted, toV4.Replace(text))
	}
	return converted, true
}

// documentsAsV4 returns a service of v4 with this metadata. It reads its rows from a service of v2 in JSON.
func documentsAsV4(t *testing.T, metadata string, v2 http.Handler) http.Handler {
	return withMetadata(metadata, func(w http.ResponseWriter, r *http.Request) {
		response := httptest.NewRecorder()
		v2.ServeHTTP(response, r)
		var document struct{ D map[string]any }
		require.NoError(t, json.Unmarshal(response.Body.Bytes(), &document))
		body := map[string]any{"@odata.context": "$metadata#X"}
		putFeed(body, "value", "", document.D)
		require.NoError(t, json.NewEncoder(w).Encode(body))
	})
}

// putFeed adds the rows of a feed of v2 to an object of v4, as a member with annotations.
func putFeed(object map[string]any, name, annotated string, feed map[string]any) {
	rows := []any{}
	for _, row := range feed["results"].([]any) {
		converted := map[string]any{}
		for name, value := range row.(map[string]any) {
			switch value := value.(type) {
			case map[string]any:
				if name == "__metadata" {
					converted["@odata.type"] = fmt.Sprint("#", value["type"])
				} else {
					putFeed(converted, name, name, value)
				}
			default:
				converted[name] = value
			}
		}
		rows = append(rows, converted)
	}
	object[name] = rows
	if next, ok := feed["__next"]; ok {
		object[annotated+"@odata.nextLink"] = next
	}
}

// eachClass runs a test with settings for the demo service in v2, and in v4 if it has such a test.
func eachClass(t *testing.T, name string, settings []string,
	run func(t *testing.T, class *sourceconfig.Component, settings []string)) {
	t.Run(name, func(t *testing.T) { run(t, sourceconfig.V2, settings) })
	if converted, ok := asV4(settings); ok {
		t.Run(name+", v4", func(t *testing.T) { run(t, sourceconfig.V4, converted) })
	}
}
