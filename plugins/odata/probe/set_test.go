package probe

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/wit"
)

func TestSets(t *testing.T) {
	const (
		metadata = `<edmx:Edmx Version="1.0" xmlns:edmx="http://schemas.microsoft.com/ado/2007/06/edmx"><edmx:DataServices><Schema Namespace="N" xmlns="http://schemas.microsoft.com/ado/2008/09/edm"><EntityType Name="T"><Key><PropertyRef Name="K"/></Key><Property Name="K" Type="Edm.String" Nullable="false"/></EntityType><EntityContainer Name="C"><EntitySet Name="S" EntityType="N.T"/></EntityContainer></Schema></edmx:DataServices></edmx:Edmx>`
		refusal  = `{"error":{"code":"X/1","message":{"value":"not authorized for S"}}}`
	)
	reads := []Service{{Path: "/x", Setting: "service", Sets: []Set{{"S", "set", false, nil}, {"None", "none", false,
		nil}}}}
	atom := []Service{{Path: "/x", Setting: "service", Sets: []Set{{"S", "set", true, nil}}}}
	writes := []Service{{Path: "/x", Setting: "service", Writes: true, Sets: []Set{{"S", "set", false, nil}}}}
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
		{"rows", reads, "S", 200, `{"d":{"results":[]}}`, "/x/S?$top=1&$format=json&sap-client=1", true, "",
			"readable"},
		{"rows in Atom", atom, "S", 200, `<feed xmlns="http://www.w3.org/2005/Atom"/>`, "/x/S?$top=1&sap-client=1",
			true, "", "readable"},
		{"no such set", reads, "None", 0, "", "", false, "none", "None"},
		{"refused", reads, "S", 403, refusal, "/x/S?$top=1&$format=json&sap-client=1", false, "set",
			"not authorized for S"},
		{"a page", reads, "S", 200, "<html><body>Logon</body></html>", "/x/S?$top=1&$format=json&sap-client=1", false,
			"sap.odata.user.name", "SU01"},
		{"another format", atom, "S", 200, `{"d":[]}`, "/x/S?$top=1&sap-client=1", false, "set", "an Atom feed"},
		{"without $top", reads, "S", 501, refusal, "/x/S?$top=1&$format=json&sap-client=1", true, "", "$top"},
		{"only to be written", writes, "S", 405, refusal, "/x/S?$top=1&$format=json&sap-client=1", true, "",
			"which writing does not require"},
		{"refused logon of a sink", writes, "S", 401, "", "/x/S?$top=1&$format=json&sap-client=1", false,
			"sap.odata.user.name", "SU01"},
	} {
		t.Run(test.name, func(t *testing.T) {
			options := []wit.Setting{{Name: "step", Value: "entityset /x/" + test.set}}
			first, err := Steps(test.services, "sap-client=1", options, nil, nil)
			if err != nil || first.Pending == nil {
				t.Fatalf("%+v, %v", first, err)
			}
			reply, err := Steps(test.services, "sap-client=1", options, nil,
				[]wit.Response{{Tag: first.Pending.Requests[0].Tag,
					Status: 200,
					Body:   []byte(metadata)}})
			if err != nil {
				t.Fatal(err)
			}
			if test.target != "" {
				if reply.Pending == nil || len(reply.Pending.Requests) != 1 ||
					reply.Pending.Requests[0].Target != test.target {
					t.Fatalf("expected a request for %s, found %+v", test.target, reply.Pending)
				}
				if reply, err = Steps(test.services, "sap-client=1", options,
					reply.Pending.State, []wit.Response{{Tag: reply.Pending.Requests[0].Tag, Status: test.status,
						Body: []byte(test.body)}}); err != nil {
					t.Fatal(err)
				}
			}
			if reply.Document == nil {
				t.Fatalf("expected a result, found %+v", reply.Pending)
			}
			var got struct {
				OK               bool
				Setting, Message string
			}
			if err := json.Unmarshal([]byte(*reply.Document), &got); err != nil {
				t.Fatal(err)
			}
			if got.OK != test.ok || got.Setting != test.setting || !strings.Contains(got.Message, test.message) {
				t.Errorf("expected ok %t, setting %q and %q, found %+v", test.ok, test.setting, test.message, got)
			}
		})
	}
}
