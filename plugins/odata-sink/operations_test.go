package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// requestText returns a request as one line.
func requestText(request *wit.Request) string {
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

// scripted returns a function that consumes the script. It responds to each request with the next line, which is a
// status that a header or a body may follow. A request after the last line is an error of the test.
func scripted(t *testing.T, script ...string) func(*wit.Request) wit.Response {
	return func(request *wit.Request) wit.Response {
		if len(script) == 0 {
			t.Errorf("unexpected request: %s", requestText(request))
			return wit.Response{Status: 400}
		}
		var status uint16
		fmt.Sscan(script[0], &status)
		_, text, _ := strings.Cut(script[0], " ")
		script = script[1:]
		response := wit.Response{Status: status}
		name, value, ok := strings.Cut(text, ": ")
		if ok && !strings.HasPrefix(text, "{") && !strings.HasPrefix(text, "<") {
			response.Headers = []wit.Header{{Name: name, Value: value}}
		} else {
			response.Body = []byte(text)
		}
		return response
	}
}

// denial returns the document of an error with a code and a message.
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

// operationCase is a record with settings, the responses to its requests (script), the requests, and the outcome of the
// row.
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
		{
			name:     "insert",
			value:    orderValue,
			script:   []string{"201"},
			requests: []string{orderInsert},
			outcome:  outcomeWritten,
		},
		{
			name:     "update",
			settings: []string{operationMode("UPDATE")},
			value:    orderValue,
			script:   []string{"204"},
			requests: []string{orderChange("PUT")},
			outcome:  outcomeWritten,
		},
		{
			name:     "merge",
			settings: []string{mergeMode},
			value:    orderValue,
			script:   []string{"204"},
			requests: []string{orderChange("MERGE")},
			outcome:  outcomeWritten,
		},
		{
			name:     "patch",
			settings: []string{operationMode("Patch")},
			value:    orderValue,
			script:   []string{"200 {}"},
			requests: []string{orderChange("PATCH")},
			outcome:  outcomeWritten,
		},
		{
			name:     "update of nothing",
			settings: []string{updateMode},
			value:    orderValue,
			script:   []string{"404 " + denial("X/1", "no such order")},
			requests: []string{orderChange("PUT")},
			outcome:  "not-found",
		},
		{
			name:     "update by a service that was switched off",
			settings: []string{updateMode},
			value:    orderValue,
			script:   []string{"410 <html>gone"},
			requests: []string{orderChange("PUT")},
			outcome:  "fault gone",
		},
		{
			name:     "update without key",
			settings: []string{updateMode},
			value:    fields("Note", "n"),
			outcome:  "data",
		},
		{
			name:     "patch that the service doesn't know",
			settings: []string{operationMode("patch")},
			value:    orderValue,
			script:   []string{"405"},
			requests: []string{orderChange("PATCH")},
			outcome:  "fault unsupported",
		},
		{
			name:     "tunnelled",
			settings: []string{mergeMode, "sap.odata.method.tunnel=1"},
			value:    orderValue,
			script:   []string{"204"},
			requests: []string{"POST " + orderPath + " If-Match=* X-HTTP-Method=MERGE (repeatable) " + orderBody},
			outcome:  outcomeWritten,
		},
	})
}

// A property of the record selects the operation.
func checkDynamicModeTakesOperationFromRecord(t *testing.T) {
	checkOperations(t, []operationCase{
		{
			name:     "dynamic I",
			settings: dynamicMode,
			value:    with(orderValue, "OP", "i"),
			script:   []string{"201"},
			requests: []string{orderInsert},
			outcome:  outcomeWritten,
		},
		{
			name:     "dynamic U",
			settings: dynamicMode,
			value:    with(orderValue, "OP", "U"),
			script:   []string{"204"},
			requests: []string{orderChange("PUT")},
			outcome:  outcomeWritten,
		},
		{
			name:     "dynamic M",
			settings: dynamicMode,
			value:    with(orderValue, "OP", "m"),
			script:   []string{"204"},
			requests: []string{orderChange("MERGE")},
			outcome:  outcomeWritten,
		},
		{
			name:     "dynamic D",
			settings: dynamicMode,
			value:    with(orderValue, "OP", "d"),
			script:   []string{"204"},
			requests: []string{"DELETE " + orderPath + " If-Match=* (repeatable)"},
			outcome:  outcomeWritten,
		},
		{
			name:     "dynamic by a property of the entity",
			settings: []string{operationMode("dynamic"), "sap.odata.operation.mode.property=Note"},
			value:    fields("ID", "a'b", "Note", "I"),
			script:   []string{"201"},
			requests: []string{`POST /Orders {"ID":"a'b","Note":"I"}`},
			outcome:  outcomeWritten,
		},
		{
			name:     "dynamic X",
			settings: dynamicMode,
			value:    with(orderValue, "OP", "X"),
			outcome:  "data",
		},
		{
			name:     "dynamic without",
			settings: dynamicMode,
			value:    orderValue,
			outcome:  "data",
		},
	})
}

// An upsert updates and inserts what is missing, or inserts and updates what exists.
func checkUpsertUpdatesOrInserts(t *testing.T) {
	checkOperations(t, []operationCase{
		{
			name:     "upsert that updates",
			settings: []string{upsertMode},
			value:    orderValue,
			script:   []string{"204"},
			requests: []string{orderChange("MERGE")},
			outcome:  outcomeWritten,
		},
		{
			name:     "upsert that inserts",
			settings: []string{upsertMode},
			value:    orderValue,
			script:   []string{"404", "201"},
			requests: []string{orderChange("MERGE"), orderInsert},
			outcome:  outcomeWritten,
		},
		{
			name:     "upsert by code",
			settings: []string{upsertMode, "sap.odata.notfound.codes=400,Z/9", "sap.odata.upsert.method=put"},
			value:    orderValue,
			script:   []string{"400", "201"},
			requests: []string{orderChange("PUT"), orderInsert},
			outcome:  outcomeWritten,
		},
		{
			name:     "upsert that is rejected",
			settings: []string{upsertMode},
			value:    orderValue,
			script:   []string{"400 " + denial("X/1", "no")},
			requests: []string{orderChange("MERGE")},
			outcome:  "data",
		},
		// The word "exists" in the answer does not count.
		{
			name:     "upsert that inserts first",
			settings: []string{upsertMode, insertFirst, "sap.odata.upsert.method=patch"},
			value:    orderValue,
			script:   []string{"400 " + denial("X/1", "Order exists"), "204"},
			requests: []string{orderInsert},
			outcome:  "data",
		},
		{
			name:     "upsert by a code of existing",
			settings: []string{upsertMode, insertFirst, "sap.odata.upsert.method=patch", "sap.odata.exists.codes=x/1"},
			value:    orderValue,
			script:   []string{"500 " + denial("X/1", "Order exists"), "204"},
			requests: []string{orderInsert, orderChange("PATCH")},
			outcome:  outcomeWritten,
		},
		{
			name:     "upsert whose insert was done, but its response lost",
			settings: []string{upsertMode, insertFirst},
			value:    orderValue,
			script:   []string{"0", "200 {}", "204"},
			requests: []string{orderInsert, orderRead, orderChange("MERGE")},
			outcome:  outcomeWritten,
		},
		{
			name:     "upsert whose insert was lost",
			settings: []string{upsertMode, insertFirst},
			value:    orderValue,
			script:   []string{"0", "404", "201"},
			requests: []string{orderInsert, orderRead, orderInsert},
			outcome:  outcomeWritten,
		},
		{
			name:     "upsert by the record's key",
			settings: []string{upsertMode},
			key:      fields("ID", "k"),
			value:    fields("Note", "n"),
			script:   []string{"404", "201"},
			requests: []string{
				`MERGE /Orders('k') If-Match=* (repeatable) {"ID":"k","Note":"n"}`,
				`POST /Orders {"ID":"k","Note":"n"}`,
			},
			outcome: outcomeWritten,
		},
	})
}

// Tombstones and the delete records of a source delete. The fields that a source adds are not sent.
func checkDeletesAndRecordsOfSourcesAreWritten(t *testing.T) {
	const deleted = "DELETE /Orders('x') If-Match=* (repeatable)"
	checkOperations(t, []operationCase{
		{
			name:     "delete",
			settings: []string{enableDelete},
			key:      fields("ID", "x"),
			script:   []string{"204"},
			requests: []string{deleted},
			outcome:  outcomeWritten,
		},
		{
			name:     "delete by the only key",
			settings: []string{enableDelete},
			key:      "x",
			script:   []string{"204"},
			requests: []string{deleted},
			outcome:  outcomeWritten,
		},
		{
			name:     "delete by a code of missing",
			settings: []string{enableDelete, "sap.odata.notfound.codes=Z/9"},
			key:      "x",
			script:   []string{"400 " + denial("Z/9", "nothing")},
			requests: []string{deleted},
			outcome:  outcomeWritten,
		},
		{
			name:     "a source's delete",
			settings: []string{"sap.odata.delete.records=1"},
			value:    fields("ID", "x", "Note", nil, "Count", nil, "RECORDMODE", "D", "DELETED_AT", int64(5)),
			script:   []string{"204"},
			requests: []string{deleted},
			outcome:  outcomeWritten,
		},
		{
			name:     "a source's row",
			settings: []string{"sap.odata.delete.records=1"},
			value:    with(orderValue, "ODQ_CHANGEMODE", "U", "ODQ_ENTITYCNTR", "1"),
			script:   []string{"201"},
			requests: []string{orderInsert},
			outcome:  outcomeWritten,
		},
		{
			name:    "a source's row, unasked",
			value:   with(orderValue, "RECORDMODE", "U"),
			outcome: "data",
		},
	})
}

// The key of the record identifies the entity if it is configured, or if the value has no key.
func checkKeyOfRecordIsUsed(t *testing.T) {
	checkOperations(t, []operationCase{
		{
			name:     "key from the record",
			settings: []string{updateMode, keyOfRecord},
			key:      "k",
			value:    orderValue,
			script:   []string{"204"},
			requests: []string{`PUT /Orders('k') If-Match=* (repeatable) {"ID":"k","Note":"n","Count":1}`},
			outcome:  outcomeWritten,
		},
		{
			name:     "insert with the key from the record",
			settings: []string{keyOfRecord},
			key:      fields("ID", "k"),
			value:    fields("Note", "n"),
			script:   []string{"201"},
			requests: []string{`POST /Orders {"ID":"k","Note":"n"}`},
			outcome:  outcomeWritten,
		},
		{
			name:     "no key in the record",
			settings: []string{keyOfRecord},
			value:    orderValue,
			outcome:  "data",
		},
		{
			name:     "a key that the value lacks is the record's",
			settings: []string{mergeMode},
			key:      fields("ID", "k"),
			value:    fields("Note", "n"),
			script:   []string{"204"},
			requests: []string{`MERGE /Orders('k') If-Match=* (repeatable) {"Note":"n"}`},
			outcome:  outcomeWritten,
		},
		{
			name:     "a complete key in the value",
			settings: []string{mergeMode},
			key:      fields("ID", "other"),
			value:    orderValue,
			script:   []string{"204"},
			requests: []string{orderChange("MERGE")},
			outcome:  outcomeWritten,
		},
	})
}

// A change has the ETag that was read before, a wildcard or none, as configured.
func checkETagsGuardChanges(t *testing.T) {
	checkOperations(t, []operationCase{
		{
			name:     "no ETag",
			settings: []string{updateMode, noTag},
			value:    orderValue,
			script:   []string{"204"},
			requests: []string{"PUT " + orderPath + " (repeatable) " + orderBody},
			outcome:  outcomeWritten,
		},
		{
			name:     "no ETag, but the service requires one",
			settings: []string{updateMode, noTag},
			value:    orderValue,
			script:   []string{"428"},
			requests: []string{"PUT " + orderPath + " (repeatable) " + orderBody},
			outcome:  "conflict",
		},
		{
			name:     "ETag",
			settings: []string{updateMode, useTag},
			value:    orderValue,
			script:   []string{`200 ETag: W/"a b"`, "204"},
			requests: []string{orderTagRead, "PUT " + orderPath + ` If-Match=W/"a b" ` + orderBody},
			outcome:  outcomeWritten,
		},
		{
			name:     "ETag of the document",
			settings: []string{updateMode, useTag},
			value:    orderValue,
			script:   []string{`200 {"d":{"__metadata":{"etag":"W/\"7\""}}}`, "204"},
			requests: []string{orderTagRead, "PUT " + orderPath + ` If-Match=W/"7" ` + orderBody},
			outcome:  outcomeWritten,
		},
		{
			name:     "no ETag in the responses",
			settings: []string{updateMode, useTag},
			value:    orderValue,
			script:   []string{"200 {}", "200 {}", "204"},
			requests: []string{orderTagRead, orderRead, "PUT " + orderPath + " (repeatable) " + orderBody},
			outcome:  outcomeWritten,
		},
		{
			name:     "ETag of a truncated document",
			settings: []string{updateMode, useTag},
			value:    orderValue,
			script: []string{`200 <entry xmlns="http://www.w3.org/2005/Atom"><id>x</id>`,
				`200 <entry xmlns="http://www.w3.org/2005/Atom"><id>x</id>`},
			requests: []string{orderTagRead, orderRead},
			outcome:  "data",
		},
		{
			name:     "ETag of no document",
			settings: []string{updateMode, useTag},
			value:    orderValue,
			script:   []string{"200", "200"},
			requests: []string{orderTagRead, orderRead},
			outcome:  "data",
		},
		{
			name:     "ETag conflict",
			settings: []string{updateMode, useTag},
			value:    orderValue,
			script:   []string{`200 ETag: "1"`, "412"},
			requests: []string{orderTagRead, "PUT " + orderPath + ` If-Match="1" ` + orderBody},
			outcome:  "conflict",
		},
		{
			name:     "ETag conflict, again",
			settings: []string{updateMode, useTag, "sap.odata.etag.conflict=retry"},
			value:    orderValue,
			script:   []string{`200 ETag: "1"`, "412", `200 ETag: "2"`, "204"},
			requests: []string{
				orderTagRead,
				"PUT " + orderPath + ` If-Match="1" (repeatable) ` + orderBody,
				orderTagRead,
				"PUT " + orderPath + ` If-Match="2" (repeatable) ` + orderBody,
			},
			outcome: outcomeWritten,
		},
		{
			name:     "ETag of a missing entity",
			settings: []string{enableDelete, useTag},
			key:      "x",
			script:   []string{"404"},
			requests: []string{"GET /Orders('x')?$select=ID (repeatable)"},
			outcome:  outcomeWritten,
		},
		{
			name:     "ETag of an upsert",
			settings: []string{upsertMode, useTag},
			value:    orderValue,
			script:   []string{"404", "201"},
			requests: []string{orderTagRead, orderInsert},
			outcome:  outcomeWritten,
		},
	})
}

// Values that the type cannot store are rejected unless configured otherwise.
func checkUnknownOrUnfitValuesAreRejected(t *testing.T) {
	checkOperations(t, []operationCase{
		{
			name:     "nested content in an update",
			settings: []string{updateMode},
			value:    with(orderValue, "Items", connectdata.List{fields("Pos", int64(1))}),
			outcome:  "data",
		},
		{
			name:     "unknown field, ignored",
			settings: []string{"sap.odata.unknown.fields=ignore"},
			value:    with(orderValue, "Other", "x"),
			script:   []string{"201"},
			requests: []string{orderInsert},
			outcome:  outcomeWritten,
		},
		{
			name:     "unknown field, fails",
			settings: []string{"sap.odata.unknown.fields=fail"},
			value:    with(orderValue, "Other", "x"),
			outcome:  "config",
		},
		{
			name:    "out of range",
			value:   fields("ID", "a", "Count", int64(1)<<32+5),
			outcome: "data",
		},
		{
			name:     "out of range, allowed",
			settings: []string{"sap.odata.lossy=allow"},
			value:    fields("ID", "a", "Count", int64(1)<<32+5),
			script:   []string{"201"},
			requests: []string{`POST /Orders {"ID":"a","Count":5}`},
			outcome:  outcomeWritten,
		},
	})
}

// Entities are written as Atom with their nested entities, and as in JSON otherwise.
func TestAtom(t *testing.T) {
	items := connectdata.List{fields("Pos", int64(1)), fields("Pos", int64(2))}
	const start = `<?xml version="1.0" encoding="utf-8"?><entry xmlns="http://www.w3.org/2005/Atom" xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata" xmlns:d="http://schemas.microsoft.com/ado/2007/08/dataservices">` +
		`<title></title><updated></updated><author><name></name></author><category term="S.Order" scheme="http://schemas.microsoft.com/ado/2007/08/dataservices/scheme"/>`
	item := func(number string) string {
		return `<entry><title></title><updated></updated><author><name></name></author><category term="S.Item" scheme="http://schemas.microsoft.com/ado/2007/08/dataservices/scheme"/>` +
			`<content type="application/xml"><m:properties><d:Pos m:type="Edm.Int32">` + number +
			`</d:Pos></m:properties></content></entry>`
	}
	for _, test := range []struct {
		value connectdata.Map
		want  string // "" means that the row is rejected
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
			assert.True(t, result.Rejected != nil, "expected a text that XML cannot contain to be rejected")
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
	rejected := 0
	for _, row := range out.Rows {
		row.Value.Schema = 1
		if result, _ := run.writeRow("AllTypesCopies", wit.ValueSlice{}, row.Value); result.Rejected != nil {
			rejected++
		}
	}
	originals := dump(service, "AllTypes")
	copies := dump(service, "AllTypesCopies")
	for key := range originals {
		if copies[key] == nil {
			delete(originals, key)
		}
	}
	diff := cmp.Diff(originals, copies)
	assert.True(t, diff == "" && rejected <= 0, "%d rejected\n%s", rejected, diff)
}
