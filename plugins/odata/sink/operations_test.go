package sink

import (
	"fmt"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/odatatest"
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

const (
	updateMode   = "sap.odata.operation.mode=update"
	mergeMode    = "sap.odata.operation.mode=merge"
	upsertMode   = "sap.odata.operation.mode=upsert"
	insertFirst  = "sap.odata.upsert.first=insert"
	enableDelete = "sap.odata.enable.delete=1"
	keyOfRecord  = "sap.odata.key.from=record"
	noTag        = "sap.odata.etag=none"
	useTag       = "sap.odata.etag=use"
	checkInDoubt = "sap.odata.insert.uncertain=check"
	filterByNote = "sap.odata.check.filter=Note"
	orderPath    = "/Orders('a''b')"
	orderBody    = `{"ID":"a'b","Note":"n","Count":1}`
	orderInsert  = "POST /Orders " + orderBody
	orderRead    = "GET " + orderPath + " (repeatable)"
	orderTagRead = "GET " + orderPath + "?$select=ID (repeatable)"
)

var (
	// orderValue is the value whose JSON is orderBody.
	orderValue  = fields("ID", "a'b", "Note", "n", "Count", int64(1))
	dynamicMode = []string{operationMode("dynamic"), "sap.odata.operation.mode.property=OP"}
)

func operationMode(mode string) string { return "sap.odata.operation.mode=" + mode }

// orderChange returns the request that changes the order if it exists.
func orderChange(method string) string {
	return method + " " + orderPath + " If-Match=* (repeatable) " + orderBody
}

// with returns a value with more fields.
func with(value connectdata.Map, pairs ...any) connectdata.Map {
	return append(value[:len(value):len(value)], fields(pairs...)...)
}

// operationCase is a record with settings, the responses to its requests, the requests, and the outcome of the row.
type operationCase struct {
	name     string
	settings []string
	key      any
	value    any
	script   []string
	requests []string
	outcome  string
}

func checkOperations(t *testing.T, operations []operationCase) {
	t.Helper()
	for _, test := range operations {
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
			if outcome := host.outcome(); outcome != test.outcome {
				t.Errorf("expected %s, found %s (%v)", test.outcome, outcome, host.reasons[0])
			}
		})
	}
}

// Records and settings decide about the bytes of requests, and responses about the outcome of the row.
func TestOperations(t *testing.T) {
	t.Run("modes have their methods", checkModesHaveTheirMethods)
	t.Run("dynamic mode takes operation from record", checkDynamicModeTakesOperationFromRecord)
	t.Run("upsert updates or inserts", checkUpsertUpdatesOrInserts)
	t.Run("deletes and records of sources are written", checkDeletesAndRecordsOfSourcesAreWritten)
	t.Run("key of record is used", checkKeyOfRecordIsUsed)
	t.Run("ETags guard changes", checkETagsGuardChanges)
	t.Run("unknown or unfit values are rejected", checkUnknownOrUnfitValuesAreRejected)
}

// Each mode sends its method. A missing entity is an error of the row, a missing service fails the task.
func checkModesHaveTheirMethods(t *testing.T) {
	checkOperations(t, []operationCase{
		{"insert", nil, nil, orderValue, []string{"201"}, []string{orderInsert}, outcomeWritten},
		{"update", []string{operationMode("UPDATE")}, nil, orderValue, []string{"204"}, []string{orderChange("PUT")},
			outcomeWritten},
		{"merge", []string{mergeMode}, nil, orderValue, []string{"204"}, []string{orderChange("MERGE")},
			outcomeWritten},
		{"patch", []string{operationMode("Patch")}, nil, orderValue, []string{"200 {}"}, []string{orderChange("PATCH")},
			outcomeWritten},
		{"update of nothing", []string{updateMode}, nil, orderValue, []string{"404 " + denial("X/1", "no such order")},
			[]string{orderChange("PUT")}, "not-found"},
		{"update by a service that was switched off", []string{updateMode}, nil, orderValue, []string{"410 <html>gone"},
			[]string{orderChange("PUT")}, "fault gone"},
		{"update without key", []string{updateMode}, nil, fields("Note", "n"), nil, nil, "data"},
		{"patch that the service doesn't know", []string{operationMode("patch")}, nil, orderValue, []string{"405"},
			[]string{orderChange("PATCH")}, "fault unsupported"},
		{"tunnelled", []string{mergeMode, "sap.odata.method.tunnel=1"}, nil, orderValue, []string{"204"},
			[]string{"POST " + orderPath + " If-Match=* X-HTTP-Method=MERGE (repeatable) " + orderBody},
			outcomeWritten},
	})
}

// A property of the record selects the operation.
func checkDynamicModeTakesOperationFromRecord(t *testing.T) {
	checkOperations(t, []operationCase{
		{"dynamic I", dynamicMode, nil, with(orderValue, "OP", "i"), []string{"201"}, []string{orderInsert},
			outcomeWritten},
		{"dynamic U", dynamicMode, nil, with(orderValue, "OP", "U"), []string{"204"}, []string{orderChange("PUT")},
			outcomeWritten},
		{"dynamic M", dynamicMode, nil, with(orderValue, "OP", "m"), []string{"204"}, []string{orderChange("MERGE")},
			outcomeWritten},
		{"dynamic D", dynamicMode, nil, with(orderValue, "OP", "d"), []string{"204"},
			[]string{"DELETE " + orderPath + " If-Match=* (repeatable)"}, outcomeWritten},
		{"dynamic by a property of the entity",
			[]string{operationMode("dynamic"), "sap.odata.operation.mode.property=Note"}, nil,
			fields("ID", "a'b", "Note", "I"), []string{"201"}, []string{`POST /Orders {"ID":"a'b","Note":"I"}`},
			outcomeWritten},
		{"dynamic X", dynamicMode, nil, with(orderValue, "OP", "X"), nil, nil, "data"},
		{"dynamic without", dynamicMode, nil, orderValue, nil, nil, "data"},
	})
}

// An upsert updates and inserts what is missing, or inserts and updates what exists.
func checkUpsertUpdatesOrInserts(t *testing.T) {
	checkOperations(t, []operationCase{
		{"upsert that updates", []string{upsertMode}, nil, orderValue, []string{"204"}, []string{orderChange("MERGE")},
			outcomeWritten},
		{"upsert that inserts", []string{upsertMode}, nil, orderValue, []string{"404", "201"},
			[]string{orderChange("MERGE"), orderInsert}, outcomeWritten},
		{"upsert by code", []string{upsertMode, "sap.odata.notfound.codes=400,Z/9", "sap.odata.upsert.method=put"}, nil,
			orderValue, []string{"400", "201"}, []string{orderChange("PUT"), orderInsert}, outcomeWritten},
		{"upsert that is refused", []string{upsertMode}, nil, orderValue, []string{"400 " + denial("X/1", "no")},
			[]string{orderChange("MERGE")}, "data"},
		// The word "exists" in the answer does not count.
		{"upsert that inserts first", []string{upsertMode, insertFirst, "sap.odata.upsert.method=patch"}, nil,
			orderValue, []string{"400 " + denial("X/1", "Order exists"), "204"}, []string{orderInsert}, "data"},
		{"upsert by a code of existing",
			[]string{upsertMode, insertFirst, "sap.odata.upsert.method=patch", "sap.odata.exists.codes=x/1"}, nil,
			orderValue, []string{"500 " + denial("X/1", "Order exists"), "204"},
			[]string{orderInsert, orderChange("PATCH")}, outcomeWritten},
		{"upsert whose insert was lost and arrived", []string{upsertMode, insertFirst}, nil, orderValue,
			[]string{"0", "200 {}", "204"}, []string{orderInsert, orderRead, orderChange("MERGE")}, outcomeWritten},
		{"upsert whose insert was lost", []string{upsertMode, insertFirst}, nil, orderValue,
			[]string{"0", "404", "201"}, []string{orderInsert, orderRead, orderInsert}, outcomeWritten},
		{"upsert by the record's key", []string{upsertMode}, fields("ID", "k"), fields("Note", "n"),
			[]string{"404", "201"},
			[]string{`MERGE /Orders('k') If-Match=* (repeatable) {"ID":"k","Note":"n"}`,
				`POST /Orders {"ID":"k","Note":"n"}`}, outcomeWritten},
	})
}

// Tombstones and the delete records of a source delete. The fields that a source adds are not sent.
func checkDeletesAndRecordsOfSourcesAreWritten(t *testing.T) {
	const deleted = "DELETE /Orders('x') If-Match=* (repeatable)"
	checkOperations(t, []operationCase{
		{"delete", []string{enableDelete}, fields("ID", "x"), nil, []string{"204"}, []string{deleted}, outcomeWritten},
		{"delete by the only key", []string{enableDelete}, "x", nil, []string{"204"}, []string{deleted},
			outcomeWritten},
		{"delete by a code of missing", []string{enableDelete, "sap.odata.notfound.codes=Z/9"}, "x", nil,
			[]string{"400 " + denial("Z/9", "nothing")}, []string{deleted}, outcomeWritten},
		{"a source's delete", []string{"sap.odata.delete.records=1"}, nil,
			fields("ID", "x", "Note", nil, "Count", nil, "RECORDMODE", "D", "DELETED_AT", int64(5)), []string{"204"},
			[]string{deleted}, outcomeWritten},
		{"a source's row", []string{"sap.odata.delete.records=1"}, nil,
			with(orderValue, "ODQ_CHANGEMODE", "U", "ODQ_ENTITYCNTR", "1"), []string{"201"}, []string{orderInsert},
			outcomeWritten},
		{"a source's row, unasked", nil, nil, with(orderValue, "RECORDMODE", "U"), nil, nil, "data"},
	})
}

// The key of the record identifies the entity if it is configured, or if the value has no key.
func checkKeyOfRecordIsUsed(t *testing.T) {
	checkOperations(t, []operationCase{
		{"key from the record", []string{updateMode, keyOfRecord}, "k", orderValue, []string{"204"},
			[]string{`PUT /Orders('k') If-Match=* (repeatable) {"ID":"k","Note":"n","Count":1}`}, outcomeWritten},
		{"insert with the key from the record", []string{keyOfRecord}, fields("ID", "k"), fields("Note", "n"),
			[]string{"201"}, []string{`POST /Orders {"ID":"k","Note":"n"}`}, outcomeWritten},
		{"no key in the record", []string{keyOfRecord}, nil, orderValue, nil, nil, "data"},
		{"what the value lacks is the record's", []string{mergeMode}, fields("ID", "k"), fields("Note", "n"),
			[]string{"204"}, []string{`MERGE /Orders('k') If-Match=* (repeatable) {"Note":"n"}`}, outcomeWritten},
		{"a key that the value says whole", []string{mergeMode}, fields("ID", "other"), orderValue, []string{"204"},
			[]string{orderChange("MERGE")}, outcomeWritten},
	})
}

// A change has the ETag that was read before, a wildcard or none, as configured.
func checkETagsGuardChanges(t *testing.T) {
	checkOperations(t, []operationCase{
		{"no ETag", []string{updateMode, noTag}, nil, orderValue, []string{"204"},
			[]string{"PUT " + orderPath + " (repeatable) " + orderBody}, outcomeWritten},
		{"no ETag, wanted", []string{updateMode, noTag}, nil, orderValue, []string{"428"},
			[]string{"PUT " + orderPath + " (repeatable) " + orderBody}, "conflict"},
		{"ETag", []string{updateMode, useTag}, nil, orderValue, []string{`200 ETag: W/"a b"`, "204"},
			[]string{orderTagRead, "PUT " + orderPath + ` If-Match=W/"a b" ` + orderBody}, outcomeWritten},
		{"ETag of the document", []string{updateMode, useTag}, nil, orderValue,
			[]string{`200 {"d":{"__metadata":{"etag":"W/\"7\""}}}`, "204"},
			[]string{orderTagRead, "PUT " + orderPath + ` If-Match=W/"7" ` + orderBody}, outcomeWritten},
		{"no ETag there", []string{updateMode, useTag}, nil, orderValue, []string{"200 {}", "200 {}", "204"},
			[]string{orderTagRead, orderRead, "PUT " + orderPath + " (repeatable) " + orderBody}, outcomeWritten},
		{"ETag of what is cut off", []string{updateMode, useTag}, nil, orderValue,
			[]string{`200 <entry xmlns="http://www.w3.org/2005/Atom"><id>x</id>`,
				`200 <entry xmlns="http://www.w3.org/2005/Atom"><id>x</id>`},
			[]string{orderTagRead, orderRead}, "data"},
		{"ETag of no document", []string{updateMode, useTag}, nil, orderValue, []string{"200", "200"},
			[]string{orderTagRead, orderRead}, "data"},
		{"ETag conflict", []string{updateMode, useTag}, nil, orderValue, []string{`200 ETag: "1"`, "412"},
			[]string{orderTagRead, "PUT " + orderPath + ` If-Match="1" ` + orderBody}, "conflict"},
		{"ETag conflict, again", []string{updateMode, useTag, "sap.odata.etag.conflict=retry"}, nil, orderValue,
			[]string{`200 ETag: "1"`, "412", `200 ETag: "2"`, "204"},
			[]string{orderTagRead, "PUT " + orderPath + ` If-Match="1" (repeatable) ` + orderBody,
				orderTagRead, "PUT " + orderPath + ` If-Match="2" (repeatable) ` + orderBody}, outcomeWritten},
		{"ETag of what is gone", []string{enableDelete, useTag}, "x", nil, []string{"404"},
			[]string{"GET /Orders('x')?$select=ID (repeatable)"}, outcomeWritten},
		{"ETag of an upsert", []string{upsertMode, useTag}, nil, orderValue, []string{"404", "201"},
			[]string{orderTagRead, orderInsert}, outcomeWritten},
	})
}

// Values that the type cannot store are rejected unless configured otherwise.
func checkUnknownOrUnfitValuesAreRejected(t *testing.T) {
	checkOperations(t, []operationCase{
		{"nested content in an update", []string{updateMode}, nil,
			with(orderValue, "Items", connectdata.List{fields("Pos", int64(1))}), nil, nil, "data"},
		{"unknown field, ignored", []string{"sap.odata.unknown.fields=ignore"}, nil, with(orderValue, "Other", "x"),
			[]string{"201"}, []string{orderInsert}, outcomeWritten},
		{"unknown field, fails", []string{"sap.odata.unknown.fields=fail"}, nil, with(orderValue, "Other", "x"), nil,
			nil, "config"},
		{"out of range", nil, nil, fields("ID", "a", "Count", int64(1)<<32+5), nil, nil, "data"},
		{"out of range, allowed", []string{"sap.odata.lossy=allow"}, nil, fields("ID", "a", "Count", int64(1)<<32+5),
			[]string{"201"}, []string{`POST /Orders {"ID":"a","Count":5}`}, outcomeWritten},
	})
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
	run.schemas = []wit.Schema{{ID: 1, Nodes: value}}
	run.data = out.Data
	refused := 0
	for _, row := range out.Rows {
		row.Value.Schema = 1
		if result, _ := run.writeRow("AllTypesCopies", wit.ValueSlice{}, row.Value); result.Rejected != nil {
			refused++
		}
	}
	originals := dump(service, "AllTypes")
	copies := dump(service, "AllTypesCopies")
	for key := range originals {
		if copies[key] == nil {
			delete(originals, key)
		}
	}
	if diff := cmp.Diff(originals, copies); diff != "" || refused > 0 {
		t.Errorf("%d rejected\n%s", refused, diff)
	}
}
