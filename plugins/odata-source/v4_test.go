package main

import (
	"strings"
	"testing"

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

// eachClass runs a test with settings for the demo service in v2, and in v4 if it has such a test.
func eachClass(t *testing.T, name string, settings []string,
	run func(t *testing.T, class *sourceconfig.Component, settings []string)) {
	t.Run(name, func(t *testing.T) { run(t, sourceconfig.V2, settings) })
	if converted, ok := asV4(settings); ok {
		t.Run(name+", v4", func(t *testing.T) { run(t, sourceconfig.V4, converted) })
	}
}
