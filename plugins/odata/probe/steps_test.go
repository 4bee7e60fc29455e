package probe

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/wit"
)

var services = []Service{
	{Path: "/sap/opu/odata/sap/A", Setting: "sap.odata#00.service",
		Sets: []Set{{Name: "S", Setting: "sap.odata#00.entityset"}}},
	{Path: "/sap/opu/odata/sap/B", Setting: "sap.odata#01.service",
		Sets: []Set{
			{Name: "S", Setting: "sap.odata#01.entityset", Atom: true},
			{Name: "None", Setting: "sap.odata#03.entityset"},
		}},
	{Path: "/sap/opu/odata/sap/A", Setting: "sap.odata#02.service", Writes: true,
		Sets: []Set{{Name: "S", Setting: "sap.odata#02.entityset"}}},
}

func TestSteps(t *testing.T) {
	reply, err := Steps(edm.V2, services, "", nil, nil, nil)
	require.NoError(t, err)
	var got []string
	require.NoError(t, json.Unmarshal([]byte(*reply.Document), &got))
	want := []string{"service /sap/opu/odata/sap/A", "metadata /sap/opu/odata/sap/A", "csrf /sap/opu/odata/sap/A",
		"entityset /sap/opu/odata/sap/A/S", "service /sap/opu/odata/sap/B", "metadata /sap/opu/odata/sap/B",
		"entityset /sap/opu/odata/sap/B/S", "entityset /sap/opu/odata/sap/B/None", "catalogue"}
	assert.Equal(t, want, got)
}

func TestQueryOfSteps(t *testing.T) {
	const query = "sap-client=100"
	for name, want := range map[string]string{
		"service /sap/opu/odata/sap/A":     "/sap/opu/odata/sap/A/?" + query,
		"metadata /sap/opu/odata/sap/A":    "/sap/opu/odata/sap/A/$metadata?" + query,
		"csrf /sap/opu/odata/sap/A":        "/sap/opu/odata/sap/A/?" + query,
		"entityset /sap/opu/odata/sap/A/S": "/sap/opu/odata/sap/A/$metadata?" + query,
		"catalogue":                        "/sap/opu/odata/IWFND/CATALOGSERVICE;v=2/ServiceCollection?$top=1&$format=json&" + query,
	} {
		first, err := Steps(edm.V2, services, query, []wit.Setting{{Name: "step", Value: name}}, nil, nil)
		require.True(t, err == nil && first.Pending != nil, "%s: %+v, %v", name, first, err)
		r := first.Pending.Requests[0]
		assert.True(t, r.Target == want && (r.TokenPath == nil || *r.TokenPath == want),
			"%s: expected %s, found %+v", name, want, r)
	}
}

// stepResult is the document of a step.
type stepResult struct {
	OK      bool
	Setting string
	Message string
}

// Answers to the requests of steps.
const (
	serviceList = `{"d":{"EntitySets":["Orders","Items"]}}`
	atom        = `<app:service xmlns:app="http://www.w3.org/2007/app"><app:workspace><app:collection href="Orders"/></app:workspace></app:service>`
	metadata    = `<edmx:Edmx Version="1.0" xmlns:edmx="http://schemas.microsoft.com/ado/2007/06/edmx"><edmx:DataServices><Schema Namespace="N" xmlns="http://schemas.microsoft.com/ado/2008/09/edm"><EntityType Name="T"><Key><PropertyRef Name="K"/></Key><Property Name="K" Type="Edm.String" Nullable="false"/></EntityType><EntityContainer Name="C"><EntitySet Name="S" EntityType="N.T"/></EntityContainer></Schema></edmx:DataServices></edmx:Edmx>`
	noService   = `<?xml version="1.0"?><error xmlns="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata"><code>/IWFND/MED/170</code><message xml:lang="en">No service found for namespace , name X, version 0001</message></error>`
	page        = `<html><body>Logon</body></html>`
	unpublished = `{"error":{"code":"/IWBEP/CM_V4_COS/014","message":"Service group A is not published"}}`
	metadata4   = `<edmx:Edmx Version="4.0" xmlns:edmx="http://docs.oasis-open.org/odata/ns/edmx"><edmx:DataServices><Schema Namespace="N" xmlns="http://docs.oasis-open.org/odata/ns/edm"><EntityType Name="T"><Key><PropertyRef Name="K"/></Key><Property Name="K" Type="Edm.String" Nullable="false"/></EntityType><EntityContainer Name="C"><EntitySet Name="S" EntityType="N.T"/></EntityContainer></Schema></edmx:DataServices></edmx:Edmx>`
)

// stepTests are answers to the requests of steps, and the results.
var stepTests = []struct {
	name    string
	step    string
	status  uint16
	body    string
	ok      bool
	setting string
	message string
	v4      bool
}{
	{name: "service in JSON", step: "service /sap/opu/odata/sap/A", status: 200, body: serviceList, ok: true,
		message: "2 entity sets"},
	{name: "service in Atom", step: "service /sap/opu/odata/sap/A", status: 200, body: atom, ok: true,
		message: "1 entity set"},
	{name: "logon page", step: "service /sap/opu/odata/sap/A", status: 200, body: page,
		setting: "sap.odata.user.name", message: "SU01"},
	{name: "refused logon", step: "service /sap/opu/odata/sap/A", status: 401, body: page,
		setting: "sap.odata.user.name", message: "SU01"},
	{name: "inactive node", step: "service /sap/opu/odata/sap/A", status: 403, body: page,
		setting: "sap.odata#00.service", message: "SICF"},
	{name: "no authorization", step: "service /sap/opu/odata/sap/B", status: 403,
		body: strings.Replace(noService, "170", "000", 1), setting: "sap.odata#01.service", message: "SU53"},
	{name: "not registered", step: "metadata /sap/opu/odata/sap/B", status: 404, body: noService,
		setting: "sap.odata#01.service", message: "/IWFND/MAINT_SERVICE"},
	{name: "no such path", step: "metadata /sap/opu/odata/sap/B", status: 404, setting: "sap.odata#01.service",
		message: "SICF"},
	{name: "administrator", step: "service /sap/opu/odata/sap/A", status: 417, setting: "sap.odata#00.service",
		message: "Cloud Connector Administrator"},
	{name: "back end", step: "service /sap/opu/odata/sap/A", status: 500,
		body:    strings.Replace(noService, "No service found", "Error in RFC destination", 1),
		setting: "sap.odata#00.service", message: "SM59"},
	{name: "behind a Cloud Connector", step: "service /sap/opu/odata/sap/A", status: 502,
		setting: "sap.odata#00.service", message: "Reachable"},
	{name: "no Cloud Connector", step: "service /sap/opu/odata/sap/A", status: 503, setting: "sap.odata#00.service",
		message: "Cloud Connectors"},
	{name: "metadata", step: "metadata /sap/opu/odata/sap/A", status: 200, body: metadata, ok: true,
		message: "1 entity set, 0 function imports"},
	{name: "no metadata", step: "metadata /sap/opu/odata/sap/A", status: 200, body: "{}",
		setting: "sap.odata#00.service", message: "$metadata"},
	{name: "csrf", step: "csrf /sap/opu/odata/sap/A", status: 200, body: serviceList, ok: true,
		message: "2 entity sets"},
	{name: "catalogue", step: "catalogue", status: 200, body: `{"d":{"results":[]}}`, ok: true,
		message: "readable"},
	{name: "no catalogue", step: "catalogue", status: 404, ok: true,
		message: "only suggestions of services are missing"},
	{name: "service of v4", step: "service /sap/opu/odata/sap/A", status: 200, ok: true, v4: true,
		body: `{"@odata.context":"$metadata","value":[{"name":"S","url":"S"},{"name":"Me","kind":"Singleton",` +
			`"url":"Me"},{"name":"F","kind":"FunctionImport","url":"F"}]}`, message: "2 entity sets"},
	{name: "metadata of v4", step: "metadata /sap/opu/odata/sap/A", status: 200, body: metadata4, ok: true, v4: true,
		message: "1 entity set, 0 function imports"},
	{name: "metadata of v2 for v4", step: "metadata /sap/opu/odata/sap/A", status: 200, body: metadata, v4: true,
		setting: "sap.odata#00.service", message: "; use the connector class of OData v2"},
	{name: "metadata of v4 for v2", step: "metadata /sap/opu/odata/sap/A", status: 200, body: metadata4,
		setting: "sap.odata#00.service", message: "; use the connector class of OData v4"},
	{name: "not published in v4", step: "metadata /sap/opu/odata/sap/B", status: 404, v4: true, body: unpublished,
		setting: "sap.odata#01.service", message: "/IWFND/V4_ADMIN"},
	{name: "inactive node of v4", step: "service /sap/opu/odata/sap/A", status: 403, body: page, v4: true,
		setting: "sap.odata#00.service", message: "default_host/sap/opu/odata4)"},
	{name: "catalogue of v4", step: "catalogue", status: 200, body: `{"value":[]}`, ok: true, v4: true,
		message: "readable"},
	{name: "no catalogue of v4", step: "catalogue", status: 404, ok: true, v4: true,
		message: "only suggestions of services are missing"},
}

func TestResponsesOfSteps(t *testing.T) {
	for _, test := range stepTests {
		t.Run(test.name, func(t *testing.T) {
			options := []wit.Setting{{Name: "step", Value: test.step}}
			dialect := edm.V2
			if test.v4 {
				dialect = edm.V4
			}
			first, err := Steps(dialect, services, "", options, nil, nil)
			require.True(t, err == nil && first.Pending != nil && len(first.Pending.Requests) == 1,
				"%+v, %v", first, err)
			request := first.Pending.Requests[0]
			assert.True(t, (request.TokenPath != nil) == strings.HasPrefix(test.step, "csrf") &&
				request.Method == "GET", "unexpected request: %+v", request)
			response := wit.Response{Tag: request.Tag, Status: test.status, Body: []byte(test.body)}
			reply, err := Steps(dialect, services, "", options, nil, []wit.Response{response})
			require.NoError(t, err)
			var got stepResult
			require.NoError(t, json.Unmarshal([]byte(*reply.Document), &got))
			if got.OK != test.ok || got.Setting != test.setting || !strings.Contains(got.Message, test.message) {
				t.Errorf("expected ok %t, setting %q and %q, found %+v", test.ok, test.setting, test.message, got)
			}
		})
	}
}
