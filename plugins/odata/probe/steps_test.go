package probe

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/wit"
)

var services = []Service{
	{"/sap/opu/odata/sap/A", "sap.odata#00.service", false, []Set{{"S", "sap.odata#00.entityset", false, nil}}},
	{"/sap/opu/odata/sap/B", "sap.odata#01.service", false, []Set{{"S", "sap.odata#01.entityset", true, nil},
		{"None", "sap.odata#03.entityset", false, nil}}},
	{"/sap/opu/odata/sap/A", "sap.odata#02.service", true, []Set{{"S", "sap.odata#02.entityset", false, nil}}},
}

func TestSteps(t *testing.T) {
	reply, err := Steps(services, "", nil, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	if err := json.Unmarshal([]byte(*reply.Document), &got); err != nil {
		t.Fatal(err)
	}
	want := []string{"service /sap/opu/odata/sap/A", "metadata /sap/opu/odata/sap/A", "csrf /sap/opu/odata/sap/A",
		"entityset /sap/opu/odata/sap/A/S", "service /sap/opu/odata/sap/B", "metadata /sap/opu/odata/sap/B",
		"entityset /sap/opu/odata/sap/B/S",
		"entityset /sap/opu/odata/sap/B/None", "catalogue"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestQueryOfSteps(t *testing.T) {
	const query = "sap-client=100"
	for name, want := range map[string]string{
		"service /sap/opu/odata/sap/A":     "/sap/opu/odata/sap/A/?" + query,
		"metadata /sap/opu/odata/sap/A":    "/sap/opu/odata/sap/A/$metadata?" + query,
		"csrf /sap/opu/odata/sap/A":        "/sap/opu/odata/sap/A/?" + query,
		"entityset /sap/opu/odata/sap/A/S": "/sap/opu/odata/sap/A/$metadata?" + query,
		"catalogue":                        Catalogues[0] + "/ServiceCollection?$top=1&$format=json&" + query,
	} {
		first, err := Steps(services, query, []wit.Setting{{Name: "step", Value: name}}, nil, nil)
		if err != nil || first.Pending == nil {
			t.Fatalf("%s: %+v, %v", name, first, err)
		}
		r := first.Pending.Requests[0]
		if r.Target != want || r.TokenPath != nil && *r.TokenPath != want {
			t.Errorf("%s: expected %s, found %+v", name, want, r)
		}
	}
}

func TestResponsesOfSteps(t *testing.T) {
	const (
		document  = `{"d":{"EntitySets":["Orders","Items"]}}`
		atom      = `<app:service xmlns:app="http://www.w3.org/2007/app"><app:workspace><app:collection href="Orders"/></app:workspace></app:service>`
		metadata  = `<edmx:Edmx Version="1.0" xmlns:edmx="http://schemas.microsoft.com/ado/2007/06/edmx"><edmx:DataServices><Schema Namespace="N" xmlns="http://schemas.microsoft.com/ado/2008/09/edm"><EntityType Name="T"><Key><PropertyRef Name="K"/></Key><Property Name="K" Type="Edm.String" Nullable="false"/></EntityType><EntityContainer Name="C"><EntitySet Name="S" EntityType="N.T"/></EntityContainer></Schema></edmx:DataServices></edmx:Edmx>`
		noService = `<?xml version="1.0"?><error xmlns="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata"><code>/IWFND/MED/170</code><message xml:lang="en">No service found for namespace , name X, version 0001</message></error>`
		page      = `<html><body>Logon</body></html>`
	)
	for _, test := range []struct {
		name, step       string
		status           uint16
		body             string
		ok               bool
		setting, message string
	}{
		{"service in JSON", "service /sap/opu/odata/sap/A", 200, document, true, "", "2 entity sets"},
		{"service in Atom", "service /sap/opu/odata/sap/A", 200, atom, true, "", "1 entity set"},
		{"logon page", "service /sap/opu/odata/sap/A", 200, page, false, "sap.odata.user.name", "SU01"},
		{"refused logon", "service /sap/opu/odata/sap/A", 401, page, false, "sap.odata.user.name", "SU01"},
		{"inactive node", "service /sap/opu/odata/sap/A", 403, page, false, "sap.odata#00.service", "SICF"},
		{"no authorization", "service /sap/opu/odata/sap/B", 403, strings.Replace(noService, "170", "000", 1), false,
			"sap.odata#01.service", "SU53"},
		{"not registered", "metadata /sap/opu/odata/sap/B", 404, noService, false, "sap.odata#01.service",
			"/IWFND/MAINT_SERVICE"},
		{"no such path", "metadata /sap/opu/odata/sap/B", 404, "", false, "sap.odata#01.service", "SICF"},
		{"administrator", "service /sap/opu/odata/sap/A", 417, "", false, "sap.odata#00.service",
			"Cloud Connector Administrator"},
		{"back end", "service /sap/opu/odata/sap/A", 500, strings.Replace(noService, "No service found",
			"Error in RFC destination", 1), false, "sap.odata#00.service", "SM59"},
		{"behind a Cloud Connector", "service /sap/opu/odata/sap/A", 502, "", false, "sap.odata#00.service",
			"Reachable"},
		{"no Cloud Connector", "service /sap/opu/odata/sap/A", 503, "", false, "sap.odata#00.service",
			"Cloud Connectors"},
		{"metadata", "metadata /sap/opu/odata/sap/A", 200, metadata, true, "", "1 entity set, 0 function imports"},
		{"no metadata", "metadata /sap/opu/odata/sap/A", 200, "{}", false, "sap.odata#00.service", "$metadata"},
		{"csrf", "csrf /sap/opu/odata/sap/A", 200, document, true, "", "2 entity sets"},
		{"catalogue", "catalogue", 200, `{"d":{"results":[]}}`, true, "", "readable"},
		{"no catalogue", "catalogue", 404, "", true, "", "only suggestions of services are missing"},
	} {
		t.Run(test.name, func(t *testing.T) {
			options := []wit.Setting{{Name: "step", Value: test.step}}
			first, err := Steps(services, "", options, nil, nil)
			if err != nil || first.Pending == nil || len(first.Pending.Requests) != 1 ||
				first.Pending.Requests[0].Method != "GET" {
				t.Fatalf("%+v, %v", first, err)
			}
			if tokened := first.Pending.Requests[0].TokenPath != nil; tokened != strings.HasPrefix(test.step, "csrf") {
				t.Errorf("unexpected token request: %v", tokened)
			}
			reply, err := Steps(services, "", options, nil, []wit.Response{{Tag: first.Pending.Requests[0].Tag,
				Status: test.status, Body: []byte(test.body)}})
			if err != nil {
				t.Fatal(err)
			}
			var got struct {
				OK               bool
				Setting, Message string
			}
			if err := json.Unmarshal([]byte(*reply.Document), &got); err != nil {
				t.Fatal(err)
			}
			if got.OK != test.ok || got.Setting != test.setting || !strings.Contains(got.Message, test.message) {
				t.Errorf("found %+v, expected %v, %q, … %s …", got, test.ok, test.setting, test.message)
			}
		})
	}
}
