package probe

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/wit"
)

func TestSets(t *testing.T) {
	const (
		metadata = `<edmx:Edmx Version="1.0" xmlns:edmx="http://schemas.microsoft.com/ado/2007/06/edmx"><edmx:DataServices><Schema Namespace="N" xmlns="http://schemas.microsoft.com/ado/2008/09/edm"><EntityType Name="T"><Key><PropertyRef Name="K"/></Key><Property Name="K" Type="Edm.String" Nullable="false"/></EntityType><EntityContainer Name="C"><EntitySet Name="S" EntityType="N.T"/></EntityContainer></Schema></edmx:DataServices></edmx:Edmx>`
		refusal  = `{"error":{"code":"X/1","message":{"value":"not authorized for S"}}}`
	)
	jsonSet := Set{Name: "S", Setting: "set"}
	reads := []Service{{Path: "/x", Setting: "service", Sets: []Set{jsonSet, {Name: "None", Setting: "none"}}}}
	atom := []Service{{Path: "/x", Setting: "service", Sets: []Set{{Name: "S", Setting: "set", Atom: true}}}}
	writes := []Service{{Path: "/x", Setting: "service", Writes: true, Sets: []Set{jsonSet}}}
	for _, test := range []struct {
		name     string
		services []Service
		set      string
		status   uint16
		body     string
		target   string // "" means no request after the metadata
		ok       bool
		setting  string
		message  string
	}{
		{name: "rows", services: reads, set: "S", status: 200, body: `{"d":{"results":[]}}`,
			target: "/x/S?$top=1&$format=json&sap-client=1", ok: true, message: "readable"},
		{name: "rows in Atom", services: atom, set: "S", status: 200,
			body: `<feed xmlns="http://www.w3.org/2005/Atom"/>`, target: "/x/S?$top=1&sap-client=1", ok: true,
			message: "readable"},
		{name: "no such set", services: reads, set: "None", setting: "none", message: "None"},
		{name: "refused", services: reads, set: "S", status: 403, body: refusal,
			target: "/x/S?$top=1&$format=json&sap-client=1", setting: "set", message: "not authorized for S"},
		{name: "a page", services: reads, set: "S", status: 200, body: "<html><body>Logon</body></html>",
			target: "/x/S?$top=1&$format=json&sap-client=1", setting: "sap.odata.user.name", message: "SU01"},
		{name: "another format", services: atom, set: "S", status: 200, body: `{"d":[]}`,
			target: "/x/S?$top=1&sap-client=1", setting: "set", message: "an Atom feed"},
		{name: "without $top", services: reads, set: "S", status: 501, body: refusal,
			target: "/x/S?$top=1&$format=json&sap-client=1", ok: true, message: "$top"},
		{name: "only to be written", services: writes, set: "S", status: 405, body: refusal,
			target: "/x/S?$top=1&$format=json&sap-client=1", ok: true, message: "which writing does not require"},
		{name: "refused logon of a sink", services: writes, set: "S", status: 401,
			target: "/x/S?$top=1&$format=json&sap-client=1", setting: "sap.odata.user.name", message: "SU01"},
	} {
		t.Run(test.name, func(t *testing.T) {
			options := []wit.Setting{{Name: "step", Value: "entityset /x/" + test.set}}
			first, err := Steps(edm.V2, test.services, "sap-client=1", options, nil, nil)
			require.True(t, err == nil && first.Pending != nil, "%+v, %v", first, err)
			reply, err := Steps(edm.V2, test.services, "sap-client=1", options, nil,
				[]wit.Response{{Tag: first.Pending.Requests[0].Tag, Status: 200, Body: []byte(metadata)}})
			require.NoError(t, err)

			// The request for a row follows the metadata.
			if test.target != "" {
				require.True(t, reply.Pending != nil && len(reply.Pending.Requests) == 1 &&
					reply.Pending.Requests[0].Target == test.target,
					"expected a request for %s, found %+v", test.target, reply.Pending)
				if reply, err = Steps(edm.V2, test.services, "sap-client=1", options,
					reply.Pending.State, []wit.Response{{Tag: reply.Pending.Requests[0].Tag, Status: test.status,
						Body: []byte(test.body)}}); err != nil {
					t.Fatal(err)
				}
			}

			require.True(t, reply.Document != nil, "expected a result, found %+v", reply.Pending)
			var got stepResult
			require.NoError(t, json.Unmarshal([]byte(*reply.Document), &got))
			if got.OK != test.ok || got.Setting != test.setting || !strings.Contains(got.Message, test.message) {
				t.Errorf("expected ok %t, setting %q and %q, found %+v", test.ok, test.setting, test.message, got)
			}
		})
	}
}
