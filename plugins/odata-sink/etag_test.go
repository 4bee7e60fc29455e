package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/plugins/odata/batch"
	"github.com/culvert-project/culvert/wit"
)

// ETags are read with $select. If the service rejects the option or then returns no ETag, the entity is read as a
// whole, and so are later ones of the set. Errors that concern the row or the service change nothing.
func TestETagsWithSelect(t *testing.T) {
	const tag, noTag, atom = `200 {"d":{"__metadata":{"etag":"1"},"ID":"a"}}`, `200 {"d":{"__metadata":{},"ID":"a"}}`,
		`<entry xmlns="http://www.w3.org/2005/Atom" xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata"`
	const atomTag, atomNoTag, atomCut = "200 " + atom + ` m:etag="1"><id>a</id></entry>`, "200 " + atom + `></entry>`,
		"200 " + atom + ` m:etag="1"><id>a</id>`
	refused := denial("X/1", "no such option")
	busy := denial("X/1", "locked by SMITH")
	const missing = "404 DataServiceVersion: 2.0"
	for _, test := range []struct {
		name     string
		settings string
		script   []string
		requests string
		outcomes string
	}{
		{"found", "", []string{tag, "204", tag, "204"}, "GET $select, MERGE 1, GET $select, MERGE 1", "written written"},
		{"of OData v4", "", []string{`200 {"@odata.etag":"1","ID":"a"}`, "204", `200 {"ID":"a","@etag":"1"}`, "204"},
			"GET $select, MERGE 1, GET $select, MERGE 1", "written written"},
		{"header", "", []string{"200 ETag: 1", "204", "200 ETag: 1", "204"},
			"GET $select, MERGE 1, GET $select, MERGE 1", "written written"},
		{"Atom", "request.format=atom", []string{atomTag, "204", atomTag, "204"},
			"GET $select, MERGE 1, GET $select, MERGE 1", "written written"},
		{"not with $select", "", []string{noTag, tag, "204", tag, "204"},
			"GET $select, GET, MERGE 1, GET, MERGE 1", "written written"},
		{"not with $select in Atom", "request.format=atom", []string{atomNoTag, atomTag, "204", atomTag, "204"},
			"GET $select, GET, MERGE 1, GET, MERGE 1", "written written"},
		{"cut off in Atom", "request.format=atom", []string{atomCut, atomCut}, "GET $select, GET", "data"},
		{"none at all", "", []string{noTag, noTag, "204", noTag, "204"},
			"GET $select, GET, MERGE, GET, MERGE", "written written"},
		{"none of a feed", "", []string{`200 {"d":{"results":[]}}`, `200 {"d":{"results":[]}}`, "204"},
			"GET $select, GET, MERGE", "written"},
		{"rejected with 400", "", []string{"400 " + refused, tag, "204", tag, "204"},
			"GET $select, GET, MERGE 1, GET, MERGE 1", "written written"},
		{"rejected with 501", "", []string{"501 " + refused, tag, "204", tag, "204"},
			"GET $select, GET, MERGE 1, GET, MERGE 1", "written written"},
		{"another cause", "", []string{"400 " + refused, "400 " + refused, tag, "204"},
			"GET $select, GET, GET $select, MERGE 1", "data written"},
		{"no OData error", "", []string{"400 no", tag, "204"}, "GET $select, GET $select, MERGE 1", "data written"},
		{"locked", "", []string{"400 " + busy, tag, "204", tag, "204"},
			"GET $select, GET $select, MERGE 1, GET $select, MERGE 1", "written written"},
		{"missing for an upsert", "operation.mode=upsert", []string{missing, "201", noTag, missing, "201"},
			"GET $select, POST, GET $select, GET, POST", "written written"},
		{"changed in between", "etag.conflict=retry", []string{noTag, tag, "412", tag, "204"},
			"GET $select, GET, MERGE 1, GET, MERGE 1", "written"},
	} {
		settings := []string{"sap.odata.etag=use", "sap.odata.operation.mode=merge", "sap.odata.enable.batch=0"}
		for _, setting := range strings.Fields(test.settings) {
			settings = append(settings, "sap.odata."+setting)
		}
		run := openOrders(t, settings...)
		answer := scripted(t, test.script...)
		var requests, outcomes []string
		for range strings.Fields(test.outcomes) {
			host := run.host("Orders")
			host.value("ID", "a", "Note", "n")
			host.answer = answer
			host.run()
			for _, request := range host.requests {
				text := request.Method
				if strings.HasSuffix(request.Target, "?$select=ID") {
					text += " $select"
				}
				if tag := headerOfRequest(&request, "If-Match"); tag != "" {
					text += " " + tag
				}
				requests = append(requests, text)
			}
			outcomes = append(outcomes, host.outcome())
		}
		expectEqual(t, test.name, []string{test.requests, test.outcomes},
			[]string{strings.Join(requests, ", "), strings.Join(outcomes, " ")})
	}
}

// $select names all key properties and the properties of the ETag, with escapes. The predicate has the escapes of the
// values.
func TestETagSelectsKeys(t *testing.T) {
	metadata := strings.NewReplacer(`<PropertyRef Name="ID"/>`, `<PropertyRef Name="ID"/><PropertyRef Name="Größe"/>`,
		`<Property Name="Note" Type="Edm.String"/>`, `<Property Name="Größe" Type="Edm.String" Nullable="false"/>`+
			`<Property Name="Note" Type="Edm.String" ConcurrencyMode="Fixed"/>`).Replace(shop)
	run := open(t, metadataService(metadata), append(set("00", "Orders"), "sap.odata.etag=use",
		"sap.odata.operation.mode=merge")...)
	host := run.host("Orders")
	host.value("ID", "a'/b", "Größe", "ü &", "Note", "n")
	host.answer = scripted(t, `200 ETag: W/"1"`, "204")
	host.run()
	const key = "/Orders(ID='a''%2Fb',Gr%C3%B6%C3%9Fe='%C3%BC%20%26')"
	expectEqual(t, "requests", []string{"GET " + key + "?$select=ID,Gr%C3%B6%C3%9Fe,Note (repeatable)",
		"MERGE " + key + ` If-Match=W/"1" {"ID":"a'/b","Größe":"ü &","Note":"n"}`}, host.requestTexts())
}

// ETags of several rows are read in one batch. If another client changes an entity, its update is rejected, or repeated
// with the new ETag.
func TestETagsOfABatch(t *testing.T) {
	for _, test := range []struct {
		conflict string
		second   string
		isSilent bool // the service returns no ETag with $select
	}{
		{conflict: "refuse", second: wit.ErrorConflict.String()},
		{conflict: "retry", second: outcomeWritten},
		{conflict: "retry", second: outcomeWritten, isSilent: true},
	} {
		run := openOrders(t, oneOrderingKey, "sap.odata.operation.mode=merge", "sap.odata.etag=use",
			"sap.odata.etag.conflict="+test.conflict)
		host := run.host("Orders")
		tags := map[string]int{}
		for i := range 3 {
			id := string(rune('a' + i))
			tags[id] = 10 * (i + 1)
			host.value("ID", id, "Note", "n")
		}
		host.answer = func(request *wit.Request) wit.Response {
			if request.Method == "GET" {
				return wit.Response{Status: 200, Headers: []wit.Header{{Name: "ETag", Value: tagText(tags["b"])}}}
			}
			if request.Method == "MERGE" {
				return mergeResponse(request.Headers, tags, request.Target[len(request.Target)-3:len(request.Target)-2])
			}
			d, ok := batch.Parse(headerOfRequest(request, "Content-Type"), request.Body)
			require.True(t, ok, "expected a batch, found %s", request.Body)
			var parts []string
			for i := range d.Parts {
				m := &d.Parts[i].Messages[0]
				line, isRead := strings.CutSuffix(m.Line, "?$select=ID HTTP/1.1")
				line, _, _ = strings.Cut(line, " HTTP")
				assert.True(t, isRead == (strings.HasPrefix(line, "GET") && len(host.requests) == 1),
					"request %d: expected $select in the first one only, found %s", len(host.requests), m.Line)
				id := line[len(line)-3 : len(line)-2]
				answer := wit.Response{Status: 200, Headers: []wit.Header{{Name: "ETag", Value: tagText(tags[id])}}}
				if strings.HasPrefix(line, "MERGE") {
					answer = mergeResponse(m.Headers(), tags, id)
				}
				if test.isSilent && isRead {
					answer.Headers = []wit.Header{{Name: "DataServiceVersion", Value: "2.0"}}
					parts = append(parts, part("200 x", "Content-Length: 14\r\n\r\n", `{"d":{"ID":1}}`))
					continue
				}
				headers := ""
				for _, header := range answer.Headers {
					headers += header.Name + ": " + header.Value + "\r\n"
				}
				parts = append(parts, part(fmt.Sprint(answer.Status, " x"), headers))
			}
			if wasRead := len(parts) > 0 && strings.Contains(parts[0], "ETag"); wasRead && tags["b"] == 20 {
				tags["b"]++ // another client changed it
			}
			return batchAnswer(parts...)
		}
		host.run()
		diff := cmp.Diff([]string{outcomeWritten, test.second, outcomeWritten}, host.outcomes)
		assert.True(t, diff == "" && host.taskError == nil,
			"%s: (-expected +found)\n%s%v", test.conflict, diff, host.taskError)
	}
}

func tagText(n int) string { return fmt.Sprintf(`W/"%d"`, n) }

// mergeResponse responds like a service that compares If-Match.
func mergeResponse(headers []wit.Header, tags map[string]int, id string) wit.Response {
	if headerOfRequest(&wit.Request{Headers: headers}, "If-Match") == tagText(tags[id]) {
		tags[id]++
		return wit.Response{Status: 204}
	}
	return wit.Response{Status: 412}
}
