package sink

import (
	"fmt"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/plugins/odata/batch"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
	"github.com/google/go-cmp/cmp"
)

// shown returns a request as one line.
func shown(request *wit.Request) string {
	text := request.Method + " " + strings.TrimPrefix(request.Target, gateway)
	for _, h := range request.Headers {
		switch h.Name {
		case "If-Match", "X-HTTP-Method", "RequestID", "RepeatabilityCreation":
			text += " " + h.Name + "=" + h.Value
		}
	}
	if request.Repeatable {
		text += " (repeatable)"
	}
	if len(request.Body) > 0 {
		text += " " + string(request.Body)
	}
	return text
}

// scripted returns a response for each line: a status, a header, a body.
func scripted(t *testing.T, script ...string) func(*wit.Request) wit.Response {
	return func(request *wit.Request) wit.Response {
		if len(script) == 0 {
			t.Errorf("unexpected request: %s", shown(request))
			return wit.Response{Status: 400}
		}
		var status uint16
		fmt.Sscan(script[0], &status)
		_, rest, _ := strings.Cut(script[0], " ")
		script = script[1:]
		r := wit.Response{Status: status}
		if name, value, ok := strings.Cut(rest, ": "); ok && !strings.HasPrefix(rest, "{") && !strings.HasPrefix(rest,
			"<") {
			r.Headers = []wit.Header{{Name: name, Value: value}}
		} else {
			r.Body = []byte(rest)
		}
		return r
	}
}

func denial(code, text string) string {
	return `{"error":{"code":"` + code + `","message":{"lang":"en","value":"` + text + `"}}}`
}

// Records and settings → the bytes of requests. Responses → the outcome of the row.
func TestOperations(t *testing.T) {
	value := fields("ID", "a'b", "Note", "n", "Count", int64(1))
	const entity = "/Orders('a''b')"
	const body = `{"ID":"a'b","Note":"n","Count":1}`
	mode := func(m string) string { return "sap.odata.operation.mode=" + m }
	update, merge, upsert := mode("update"), mode("merge"), mode("upsert")
	dynamic := []string{mode("dynamic"), "sap.odata.operation.mode.property=OP"}
	const insertFirst, deletes, keyOfRecord = "sap.odata.upsert.first=insert", "sap.odata.enable.delete=1",
		"sap.odata.key.from=record"
	const noTag, useTag, check = "sap.odata.etag=none", "sap.odata.etag=use", "sap.odata.insert.uncertain=check"
	const post, get, deleted = "POST /Orders " + body, "GET " + entity + " (repeatable)",
		"DELETE /Orders('x') If-Match=* (repeatable)"
	const getTag = "GET " + entity + "?$select=ID (repeatable)"
	changed := func(method string) string { return method + " " + entity + " If-Match=* (repeatable) " + body }
	with := func(m connectdata.Map, pairs ...any) connectdata.Map {
		return append(m[:len(m):len(m)], fields(pairs...)...)
	}
	for _, test := range []struct {
		name       string
		settings   []string
		key, value any
		script     []string
		requests   []string
		outcome    string
	}{
		{"insert", nil, nil, value, []string{"201"}, []string{post}, outcomeWritten},
		{"update", []string{mode("UPDATE")}, nil, value, []string{"204"}, []string{changed("PUT")}, outcomeWritten},
		{"merge", []string{merge}, nil, value, []string{"204"}, []string{changed("MERGE")}, outcomeWritten},
		{"patch", []string{mode("Patch")}, nil, value, []string{"200 {}"}, []string{changed("PATCH")}, outcomeWritten},
		{"update of nothing", []string{update}, nil, value, []string{"404 " + denial("X/1", "no such order")},
			[]string{changed("PUT")}, "not-found"},
		{"update by a service that was switched off", []string{update}, nil, value, []string{"410 <html>gone"},
			[]string{changed("PUT")}, "fault gone"},
		{"update without key", []string{update}, nil, fields("Note", "n"), nil, nil, "data"},
		{"patch that the service doesn't know", []string{mode("patch")}, nil, value, []string{"405"},
			[]string{changed("PATCH")}, "fault unsupported"},
		{"nested content in an update", []string{update}, nil, with(value, "Items",
			connectdata.List{fields("Pos", int64(1))}), nil, nil, "data"},
		{"dynamic I", dynamic, nil, with(value, "OP", "i"), []string{"201"}, []string{post}, outcomeWritten},
		{"dynamic U", dynamic, nil, with(value, "OP", "U"), []string{"204"}, []string{changed("PUT")}, outcomeWritten},
		{"dynamic M", dynamic, nil, with(value, "OP", "m"), []string{"204"}, []string{changed("MERGE")},
			outcomeWritten},
		{"dynamic D", dynamic, nil, with(value, "OP", "d"), []string{"204"},
			[]string{"DELETE " + entity + " If-Match=* (repeatable)"}, outcomeWritten},
		{"dynamic by a property of the entity", []string{mode("dynamic"), "sap.odata.operation.mode.property=Note"},
			nil, fields("ID", "a'b", "Note", "I"), []string{"201"}, []string{`POST /Orders {"ID":"a'b","Note":"I"}`},
			outcomeWritten},
		{"dynamic X", dynamic, nil, with(value, "OP", "X"), nil, nil, "data"},
		{"dynamic without", dynamic, nil, value, nil, nil, "data"},
		{"upsert that updates", []string{upsert}, nil, value, []string{"204"}, []string{changed("MERGE")},
			outcomeWritten},
		{"upsert that inserts", []string{upsert}, nil, value, []string{"404", "201"},
			[]string{changed("MERGE"), post}, outcomeWritten},
		{"upsert by code", []string{upsert, "sap.odata.notfound.codes=400,Z/9", "sap.odata.upsert.method=put"}, nil,
			value, []string{"400", "201"}, []string{changed("PUT"), post}, outcomeWritten},
		{"upsert that is refused", []string{upsert}, nil, value, []string{"400 " + denial("X/1", "no")},
			[]string{changed("MERGE")}, "data"},
		{"upsert that inserts first", // "exists" in it does not count
			[]string{upsert, insertFirst, "sap.odata.upsert.method=patch"}, nil, value,
			[]string{"400 " + denial("X/1", "Order exists"), "204"}, []string{post}, "data"},
		{"upsert by a code of existing",
			[]string{upsert, insertFirst, "sap.odata.upsert.method=patch", "sap.odata.exists.codes=x/1"}, nil, value,
			[]string{"500 " + denial("X/1", "Order exists"), "204"}, []string{post, changed("PATCH")}, outcomeWritten},
		{"upsert whose insert was lost and arrived", []string{upsert, insertFirst}, nil, value,
			[]string{"0", "200 {}", "204"}, []string{post, get, changed("MERGE")}, outcomeWritten},
		{"upsert whose insert was lost", []string{upsert, insertFirst}, nil, value, []string{"0", "404", "201"},
			[]string{post, get, post}, outcomeWritten},
		{"tunnelled", []string{merge, "sap.odata.method.tunnel=1"}, nil, value, []string{"204"},
			[]string{"POST " + entity + " If-Match=* X-HTTP-Method=MERGE (repeatable) " + body}, outcomeWritten},
		{"delete", []string{deletes}, fields("ID", "x"), nil, []string{"204"}, []string{deleted}, outcomeWritten},
		{"delete by the only key", []string{deletes}, "x", nil, []string{"204"}, []string{deleted}, outcomeWritten},
		{"delete by a code of missing", []string{deletes, "sap.odata.notfound.codes=Z/9"}, "x", nil,
			[]string{"400 " + denial("Z/9", "nothing")}, []string{deleted}, outcomeWritten},
		{"a source's delete", []string{"sap.odata.delete.records=1"}, nil, fields("ID", "x", "Note", nil, "Count", nil,
			"RECORDMODE", "D", "DELETED_AT", int64(5)), []string{"204"},
			[]string{deleted}, outcomeWritten},
		{"a source's row", []string{"sap.odata.delete.records=1"}, nil, with(value, "ODQ_CHANGEMODE", "U",
			"ODQ_ENTITYCNTR", "1"), []string{"201"}, []string{post}, outcomeWritten},
		{"a source's row, unasked", nil, nil, with(value, "RECORDMODE", "U"), nil, nil, "data"},
		{"key from the record", []string{update, keyOfRecord}, "k", value, []string{"204"},
			[]string{`PUT /Orders('k') If-Match=* (repeatable) {"ID":"k","Note":"n","Count":1}`}, outcomeWritten},
		{"insert with the key from the record", []string{keyOfRecord}, fields("ID", "k"),
			fields("Note", "n"), []string{"201"}, []string{`POST /Orders {"ID":"k","Note":"n"}`}, outcomeWritten},
		{"no key in the record", []string{keyOfRecord}, nil, value, nil, nil, "data"},
		{"what the value lacks is the record's", []string{merge}, fields("ID", "k"), fields("Note", "n"),
			[]string{"204"}, []string{`MERGE /Orders('k') If-Match=* (repeatable) {"Note":"n"}`}, outcomeWritten},
		{"a key that the value says whole", []string{merge}, fields("ID", "other"), value, []string{"204"},
			[]string{changed("MERGE")}, outcomeWritten},
		{"no ETag", []string{update, noTag}, nil, value, []string{"204"},
			[]string{"PUT " + entity + " (repeatable) " + body}, outcomeWritten},
		{"no ETag, wanted", []string{update, noTag}, nil, value, []string{"428"},
			[]string{"PUT " + entity + " (repeatable) " + body}, "conflict"},
		{"ETag", []string{update, useTag}, nil, value, []string{`200 ETag: W/"a b"`, "204"},
			[]string{getTag, "PUT " + entity + ` If-Match=W/"a b" ` + body}, outcomeWritten},
		{"ETag of the document", []string{update, useTag}, nil, value,
			[]string{`200 {"d":{"__metadata":{"etag":"W/\"7\""}}}`, "204"}, []string{getTag,
				"PUT " + entity + ` If-Match=W/"7" ` + body}, outcomeWritten},
		{"no ETag there", []string{update, useTag}, nil, value, []string{"200 {}", "200 {}", "204"},
			[]string{getTag, get, "PUT " + entity + " (repeatable) " + body}, outcomeWritten},
		{"ETag of what is cut off", []string{update, useTag}, nil, value,
			[]string{`200 <entry xmlns="http://www.w3.org/2005/Atom"><id>x</id>`,
				`200 <entry xmlns="http://www.w3.org/2005/Atom"><id>x</id>`}, []string{getTag, get}, "data"},
		{"ETag of no document", []string{update, useTag}, nil, value, []string{"200", "200"}, []string{getTag, get}, "data"},
		{"ETag conflict", []string{update, useTag}, nil, value, []string{`200 ETag: "1"`, "412"},
			[]string{getTag, "PUT " + entity + ` If-Match="1" ` + body}, "conflict"},
		{"ETag conflict, again", []string{update, useTag, "sap.odata.etag.conflict=retry"}, nil,
			value, []string{`200 ETag: "1"`, "412", `200 ETag: "2"`, "204"},
			[]string{getTag, "PUT " + entity + ` If-Match="1" (repeatable) ` + body,
				getTag, "PUT " + entity + ` If-Match="2" (repeatable) ` + body}, outcomeWritten},
		{"ETag of what is gone", []string{deletes, useTag}, "x", nil, []string{"404"},
			[]string{"GET /Orders('x')?$select=ID (repeatable)"}, outcomeWritten},
		{"ETag of an upsert", []string{upsert, useTag}, nil, value, []string{"404", "201"},
			[]string{getTag, post}, outcomeWritten},
		{"unknown field, ignored", []string{"sap.odata.unknown.fields=ignore"}, nil, with(value, "Other", "x"),
			[]string{"201"}, []string{post}, outcomeWritten},
		{"unknown field, fails", []string{"sap.odata.unknown.fields=fail"}, nil, with(value, "Other", "x"), nil, nil,
			"config"},
		{"out of range", nil, nil, fields("ID", "a", "Count", int64(1)<<32+5), nil, nil, "data"},
		{"out of range, allowed", []string{"sap.odata.lossy=allow"}, nil, fields("ID", "a", "Count", int64(1)<<32+5),
			[]string{"201"}, []string{`POST /Orders {"ID":"a","Count":5}`}, outcomeWritten},
		{"lost", nil, nil, value, []string{"0"}, []string{post}, outcomeInDoubt},
		{"lost, found", []string{check}, nil, value,
			[]string{"0", `200 {"d":{"ID":"a'b","Note":"n  ","Count":"1","Place":{"City":null}}}`},
			[]string{post, get}, outcomeWritten},
		{"lost, another one found", []string{check}, nil, value,
			[]string{"0", `200 {"d":{"ID":"a'b","Note":"other"}}`}, []string{post, get}, outcomeInDoubt},
		{"lost, not there", []string{check}, nil, value, []string{"0", "404", `200 {"d":[]}`, "201"},
			[]string{post, get, post}, outcomeWritten},
		{"lost, without a key", []string{check}, nil, fields("Note", "n"), []string{"0"},
			[]string{`POST /Orders {"Note":"n"}`}, outcomeInDoubt},
		{"lost, with a key that the insert doesn't say", []string{check},
			fields("ID", "k"), fields("Note", "n"), []string{"0"}, []string{`POST /Orders {"Note":"n"}`},
			outcomeInDoubt},
		{"upsert by the record's key", []string{upsert}, fields("ID", "k"), fields("Note", "n"),
			[]string{"404", "201"},
			[]string{`MERGE /Orders('k') If-Match=* (repeatable) {"ID":"k","Note":"n"}`,
				`POST /Orders {"ID":"k","Note":"n"}`}, outcomeWritten},
		{"lost, found by filter", []string{check, "sap.odata.check.filter=Note"}, nil,
			fields("Note", "n'1 &"), []string{"0", `200 {"d":{"results":[{"ID":"7","Note":"n'1 &"}]}}`},
			[]string{`POST /Orders {"Note":"n'1 &"}`,
				"GET /Orders?$filter=Note%20eq%20'n''1%20%26'&$top=20 (repeatable)"}, outcomeWritten},
		{"lost, not found by filter", []string{check,
			"sap.odata.check.filter=Count eq {Count} and Note ne 'x'"}, nil, fields("Count", int64(7)), []string{"0",
			`200 {"d":[]}`, "201"},
			[]string{`POST /Orders {"Count":7}`,
				"GET /Orders?$filter=Count%20eq%207%20and%20Note%20ne%20'x'&$top=20 (repeatable)",
				`POST /Orders {"Count":7}`}, outcomeWritten},
		{"lost, no filter's answer", []string{check, "sap.odata.check.filter=Note"}, nil,
			fields("Note", "n"), []string{"0", "200 {}"},
			[]string{`POST /Orders {"Note":"n"}`, "GET /Orders?$filter=Note%20eq%20'n'&$top=20 (repeatable)"},
			outcomeInDoubt},
		{"retried", []string{"sap.odata.insert.uncertain=retry"}, nil, value, []string{"0", "201"},
			[]string{"POST /Orders (repeatable) " + body, "POST /Orders (repeatable) " + body}, outcomeWritten},
		{"RequestID, unknown to the service", []string{"sap.odata.insert.uncertain=repeatable"}, nil, value,
			[]string{"0", "404", "201 RepeatabilityResult: accepted"},
			[]string{"POST /Orders RequestID=FC6DBB870155B07AD4E275C2CE68029E " +
				"RepeatabilityCreation=2023-11-14T22:13:20 " + body, get,
				"POST /Orders RequestID=FC6DBB870155B07AD4E275C2CE68029E RepeatabilityCreation=2023-11-14T22:13:20 " +
					body}, outcomeWritten},
	} {
		t.Run(test.name, func(t *testing.T) {
			run := openOrders(t, test.settings...)
			host := run.host("Orders")
			datumOf := func(v any) wit.ValueSlice {
				if v == nil {
					return wit.ValueSlice{}
				}
				return run.schemaless(v)
			}
			host.add(datumOf(test.key), datumOf(test.value))
			host.answer = scripted(t, test.script...)
			host.run()
			expectEqual(t, "requests", test.requests, host.requestTexts())
			if found := host.outcome(); found != test.outcome {
				t.Errorf("expected %s, found %s (%v)", test.outcome, found, host.reasons[0])
			}
		})
	}
}

// A service that confirms RequestIDs gets the same RequestID again, so each document is created once.
func TestRepeatability(t *testing.T) {
	service := odatatest.New(odatatest.Options{})
	setSwitches(t, service, "repeatability=true")
	run := open(t, service, append(set("00", "Inbox"), "sap.odata.insert.uncertain=repeatable", oneOrderingKey)...)
	for round := range 3 {
		host := run.host("Inbox")
		for i := range 5 {
			host.add(wit.ValueSlice{}, host.schemaless(fields("Topic", fmt.Sprint(round, i))))
			host.rows[i].Offset += int64(100 * round)
		}
		lose := round > 0
		host.answer = func(request *wit.Request) wit.Response {
			answer := host.exchange(request)
			if lose && request.Method == "POST" {
				lose = false
				return wit.Response{}
			}
			return answer
		}
		host.run()
		host.expectAll(outcomeWritten)
	}
	if n := service.Count("Inbox"); n != 15 {
		t.Errorf("expected 15 documents, found %d", n)
	}
}

// ETags of several rows are read in one batch. If another client changes an entity, its update is rejected, or repeated
// with the new ETag.
func TestETagsOfABatch(t *testing.T) {
	for _, test := range []struct {
		conflict, second string
		isSilent         bool // the service returns no ETag with $select
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
				return merged(request.Headers, tags, request.Target[len(request.Target)-3:len(request.Target)-2])
			}
			d, ok := batch.Parse(headerOfRequest(request, "Content-Type"), request.Body)
			if !ok {
				t.Fatalf("expected a batch, found %s", request.Body)
			}
			var parts []string
			for i := range d.Parts {
				m := &d.Parts[i].Messages[0]
				line, isRead := strings.CutSuffix(m.Line, "?$select=ID HTTP/1.1")
				line, _, _ = strings.Cut(line, " HTTP")
				if isRead != (strings.HasPrefix(line, "GET") && len(host.requests) == 1) {
					t.Errorf("request %d: expected $select in the first one only, found %s", len(host.requests), m.Line)
				}
				id := line[len(line)-3 : len(line)-2]
				answer := wit.Response{Status: 200, Headers: []wit.Header{{Name: "ETag", Value: tagText(tags[id])}}}
				if strings.HasPrefix(line, "MERGE") {
					answer = merged(m.Headers(), tags, id)
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
		if diff := cmp.Diff([]string{outcomeWritten, test.second, outcomeWritten}, host.outcomes); diff != "" ||
			host.failed != nil {
			t.Errorf("%s: (-expected +found)\n%s%v", test.conflict, diff, host.failed)
		}
	}
}

func tagText(n int) string { return fmt.Sprintf(`W/"%d"`, n) }

// merged responds like a service that compares If-Match.
func merged(headers []wit.Header, tags map[string]int, id string) wit.Response {
	if headerOfRequest(&wit.Request{Headers: headers}, "If-Match") == tagText(tags[id]) {
		tags[id]++
		return wit.Response{Status: 204}
	}
	return wit.Response{Status: 412}
}

func TestAtom(t *testing.T) {
	items := connectdata.List{fields("Pos", int64(1)), fields("Pos", int64(2))}
	const start = `<?xml version="1.0" encoding="utf-8"?><entry xmlns="http://www.w3.org/2005/Atom" xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata" xmlns:d="http://schemas.microsoft.com/ado/2007/08/dataservices">` +
		`<title></title><updated></updated><author><name></name></author><category term="S.Order" scheme="http://schemas.microsoft.com/ado/2007/08/dataservices/scheme"/>`
	item := func(n string) string {
		return `<entry><title></title><updated></updated><author><name></name></author><category term="S.Item" scheme="http://schemas.microsoft.com/ado/2007/08/dataservices/scheme"/>` +
			`<content type="application/xml"><m:properties><d:Pos m:type="Edm.Int32">` + n +
			`</d:Pos></m:properties></content></entry>`
	}
	for _, test := range []struct {
		value connectdata.Map
		want  string
	}{
		{fields("ID", "<a>&\r\n", "Note", nil, "Count", int64(1), "Place", fields("City", "Ulm")),
			start + `<content type="application/xml"><m:properties><d:ID>&lt;a&gt;&amp;&#13;` + "\n" +
				`</d:ID><d:Note m:null="true"/><d:Count m:type="Edm.Int32">1</d:Count><d:Place m:type="S.Place"><d:City>Ulm</d:City></d:Place></m:properties></content></entry>`},
		{fields("ID", "a", "Items", items),
			start +
				`<link rel="http://schemas.microsoft.com/ado/2007/08/dataservices/related/Items" type="application/atom+xml;type=feed" title="Items"><m:inline><feed>` + item("1") + item("2") +
				`</feed></m:inline></link><content type="application/xml"><m:properties><d:ID>a</d:ID></m:properties></content></entry>`},
		{fields("ID", "a\x01"), ""},
	} {
		run := openOrders(t, "sap.odata.request.format=atom")
		result, requests := run.writeRow("Orders", wit.ValueSlice{}, run.schemaless(test.value))
		switch {
		case test.want == "":
			if result.Rejected == nil {
				t.Error("expected a text that XML cannot contain to be rejected")
			}
		case string(requests[0].Body) != test.want:
			t.Errorf("expected %s\nfound %s", test.want, requests[0].Body)
		}
	}
	// Every type is written as in JSON.
	service := odatatest.New(odatatest.Options{})
	run := open(t, service, append(set("00", "AllTypesCopies"), "sap.odata.request.format=atom")...)
	out, value := read(t, service)
	run.schemas, run.data = []wit.Schema{{ID: 1, Nodes: value}}, out.Data
	refused := 0
	for _, row := range out.Rows {
		row.Value.Schema = 1
		if result, _ := run.writeRow("AllTypesCopies", wit.ValueSlice{}, row.Value); result.Rejected != nil {
			refused++
		}
	}
	originals, copies := dump(service, "AllTypes"), dump(service, "AllTypesCopies")
	for key := range originals {
		if copies[key] == nil {
			delete(originals, key)
		}
	}
	if diff := cmp.Diff(originals, copies); diff != "" || refused > 0 {
		t.Errorf("%d rejected\n%s", refused, diff)
	}
}
