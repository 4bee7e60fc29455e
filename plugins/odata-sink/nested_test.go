package main

import (
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/plugins/odata/odataerror"
	"github.com/culvert-project/culvert/plugins/odata/sinkconfig"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// nestedShop is the shop with entity sets for the nested entities of orders.
func nestedShop() http.Handler {
	const sets = `<EntitySet Name="Items" EntityType="S.Item"/><EntitySet Name="OldItems" EntityType="S.Item"/><EntitySet Name="Subs" EntityType="S.Sub"/>` +
		`<AssociationSet Name="RS" Association="S.R"><End Role="o" EntitySet="Orders"/><End Role="i" EntitySet="Items"/></AssociationSet>` +
		`<AssociationSet Name="BS" Association="S.B"><End Role="b" EntitySet="OldItems"/><End Role="o" EntitySet="Orders"/></AssociationSet></EntityContainer>`
	return metadataService(strings.Replace(shop, "</EntityContainer>", sets, 1))
}

var boundaries = regexp.MustCompile(`(batch|changeset)_[0-9a-z_]+`)

// normalizeBatches replaces random boundaries by their kind, and CRLF by LF. It changes the slice in place.
func normalizeBatches(requests []string) []string {
	for i, text := range requests {
		requests[i] = strings.ReplaceAll(boundaries.ReplaceAllString(text, "$1"), "\r\n", "\n")
	}
	return requests
}

// deepInsert is the request that inserts nestedOrder.
const deepInsert = `POST /Orders {"ID":"a","Note":"n","Items":[{"Pos":1,"Subs":[{"N":"1.5"}]},{"Pos":2}],` +
	`"Buyer":{"Pos":9}}`

var nestedOrder = fields("ID", "a", "Note", "n", "Items", connectdata.List{
	fields("Pos", int64(1), "Subs", connectdata.List{fields("N", "1.5")}),
	fields("Pos", int64(2)),
}, "Buyer", fields("Pos", int64(9)))

// nestedBatch returns the batch that changes each entity of nestedOrder by a method.
func nestedBatch(method string) string {
	part := func(id, place, body string) string {
		return "--changeset\nContent-Type: application/http\nContent-Transfer-Encoding: binary\nContent-ID: " + id +
			"\n\n" + method + " " + place +
			" HTTP/1.1\nIf-Match: *\nAccept: application/json\nContent-Type: application/json\nContent-Length: " +
			strconv.Itoa(len(body)) + "\n\n" + body + "\n"
	}
	return "POST /$batch (repeatable) --batch\nContent-Type: multipart/mixed; boundary=changeset\n\n" +
		part("1", "Orders('a')", `{"ID":"a","Note":"n"}`) + part("2", "Items(1)", `{"Pos":1}`) +
		part("3", "Subs(1.5M)", `{"N":"1.5"}`) + part("4", "Items(2)", `{"Pos":2}`) +
		part("5", "OldItems(9)", `{"Pos":9}`) + "--changeset--\n\n--batch--\n"
}

const mixedAnswer = "202 multipart/mixed; boundary=b\n--b\nContent-Type: "

// nestedAnswer returns the response to a changeset of n requests that all have a status.
func nestedAnswer(status string, n int) string {
	return mixedAnswer + "multipart/mixed; boundary=c\n\n" +
		strings.Repeat("--c\nContent-Type: application/http\n\nHTTP/1.1 "+status+"\n\n\n", n) + "--c--\n--b--\n"
}

// singleAnswer returns the response to a changeset that was not done.
func singleAnswer(status, body string) string {
	return mixedAnswer + "application/http\n\nHTTP/1.1 " + status + "\nContent-Type: application/json\n\n" + body +
		"\n--b--\n"
}

func missingAnswer(entity string) string {
	return singleAnswer("404 Not Found", denial("X/1", "no "+entity))
}

// nestedCase is a record with nested content, the responses to its requests, the requests, and the outcome of the row.
type nestedCase struct {
	name     string
	settings []string
	value    connectdata.Map
	// script has a response per request: "202 MEDIA-TYPE\nBODY" for a batch, otherwise a line for scripted.
	script   []string
	requests []string
	outcome  string
}

func checkNested(t *testing.T, cases []nestedCase) {
	t.Helper()
	for _, test := range cases {
		t.Run(test.name, func(t *testing.T) {
			settings := append(set("00", "Orders"), "sap.odata.nested.updates=operations")
			run := open(t, nestedShop(), append(settings, test.settings...)...)
			host := run.host("Orders")
			host.add(wit.ValueSlice{}, host.schemaless(test.value))
			script := test.script
			host.answer = func(request *wit.Request) wit.Response {
				if len(script) == 0 {
					t.Fatalf("unexpected request: %s", requestText(request))
				}
				head, body, _ := strings.Cut(script[0], "\n")
				script = script[1:]
				if mediaType, ok := strings.CutPrefix(head, "202 "); ok {
					return wit.Response{Status: 202, Headers: []wit.Header{{Name: "Content-Type", Value: mediaType}},
						Body: []byte(body)}
				}
				return scripted(t, head)(request)
			}
			host.run()
			expectEqual(t, "requests", test.requests, normalizeBatches(host.requestTexts()))
			require.NoError(t, host.taskError)
			if outcome := host.outcomes[0]; outcome != test.outcome {
				t.Errorf("expected %s, found %s (%v)", test.outcome, outcome, host.reasons[0])
			}
		})
	}
}

// An update of an order and its nested entities is one batch, which is sent again until it is done.
func TestNestedUpdates(t *testing.T) {
	puts := nestedBatch("PUT")
	merges := nestedBatch("MERGE")
	done := nestedAnswer("204 No Content", 5)
	checkNested(t, []nestedCase{
		{
			name:     "update",
			settings: []string{updateMode},
			value:    nestedOrder,
			script:   []string{done},
			requests: []string{puts},
			outcome:  outcomeWritten,
		},
		{
			name:     "merge, one changeset each",
			settings: []string{mergeMode, "sap.odata.changesets=one"},
			value:    nestedOrder,
			script:   []string{done},
			requests: []string{merges},
			outcome:  outcomeWritten,
		},
		{
			name:     "locked, then not",
			settings: []string{updateMode},
			value:    nestedOrder,
			script:   []string{singleAnswer("503 Not Now", denial("X/1", "later")), done},
			requests: []string{puts, puts},
			outcome:  outcomeWritten,
		},
		{
			name:     "too few answers, then all",
			settings: []string{updateMode},
			value:    nestedOrder,
			script:   []string{nestedAnswer("204 No Content", 4), done},
			requests: []string{puts, puts},
			outcome:  outcomeWritten,
		},
	})
}

// A rejected part rejects the row. A service without batches is an error of the configuration.
func TestRejectedNestedUpdateIsAnErrorOfTheRow(t *testing.T) {
	puts := nestedBatch("PUT")
	refused := singleAnswer("400 Bad Request", denial("X/1", "no such thing"))
	checkNested(t, []nestedCase{
		{
			name:     "one of them is refused",
			settings: []string{updateMode},
			value:    nestedOrder,
			script:   []string{refused},
			requests: []string{puts},
			outcome:  "data",
		},
		{
			name:     "one of them is missing",
			settings: []string{updateMode},
			value:    nestedOrder,
			script:   []string{missingAnswer("such thing")},
			requests: []string{puts},
			outcome:  "not-found",
		},
		{
			name:     "the batch is refused",
			settings: []string{updateMode},
			value:    nestedOrder,
			script:   []string{"400 " + denial("X/1", "no batch")},
			requests: []string{puts},
			outcome:  "data",
		},
		{
			name:     "too large",
			settings: []string{updateMode},
			value:    nestedOrder,
			script:   []string{"413 "},
			requests: []string{puts},
			outcome:  "data",
		},
		{
			name:     "no batches there",
			settings: []string{updateMode},
			value:    nestedOrder,
			script:   []string{"405 "},
			requests: []string{puts},
			outcome:  "config",
		},
		{
			name:     "no batches there, says a server",
			settings: []string{updateMode},
			value:    nestedOrder,
			script:   []string{"404 no such page"},
			requests: []string{puts},
			outcome:  "config",
		},
	})
}

// An upsert changes all nested entities, or inserts all if the order is missing.
func TestNestedUpsertUpdatesOrInserts(t *testing.T) {
	merges := nestedBatch("MERGE")
	done := nestedAnswer("204 No Content", 5)
	checkNested(t, []nestedCase{
		{
			name:     "upsert that updates",
			settings: []string{upsertMode},
			value:    nestedOrder,
			script:   []string{done},
			requests: []string{merges},
			outcome:  outcomeWritten,
		},
		{
			name:     "upsert that inserts",
			settings: []string{upsertMode},
			value:    nestedOrder,
			script:   []string{missingAnswer("order"), "201 "},
			requests: []string{merges, deepInsert},
			outcome:  outcomeWritten,
		},
		{
			name:     "upsert of what is there, but for an item",
			settings: []string{upsertMode},
			value:    nestedOrder,
			script: []string{
				missingAnswer("item"),
				"409 " + denial("X/2", "the order exists"),
				missingAnswer("item"),
			},
			requests: []string{merges, deepInsert, merges},
			outcome:  "not-found",
		},
	})
}

// Nested content must fit the entity type. Inserts, and updates without nested content, need no batch.
func TestNestedContentIsChecked(t *testing.T) {
	checkNested(t, []nestedCase{
		{
			name:     "nothing nested",
			settings: []string{updateMode},
			value:    fields("ID", "a", "Items", connectdata.List{}, "Buyer", nil),
			script:   []string{"204 "},
			requests: []string{`PUT /Orders('a') If-Match=* (repeatable) {"ID":"a"}`},
			outcome:  outcomeWritten,
		},
		{
			name:     "a key that isn't said",
			settings: []string{updateMode},
			value:    fields("ID", "a", "Items", connectdata.List{fields("Subs", nil)}),
			outcome:  "data",
		},
		{
			name:     "no array",
			settings: []string{updateMode},
			value:    fields("ID", "a", "Items", fields("Pos", int64(1))),
			outcome:  "data",
		},
		{
			name:     "no struct",
			settings: []string{updateMode},
			value:    fields("ID", "a", "Buyer", "x"),
			outcome:  "data",
		},
		{
			name:     "a null among them",
			settings: []string{updateMode},
			value:    fields("ID", "a", "Items", connectdata.List{nil}),
			outcome:  "data",
		},
		{
			name:     "a field that isn't there",
			settings: []string{updateMode},
			value:    fields("ID", "a", "Items", connectdata.List{fields("Pos", int64(1), "Zip", "x")}),
			outcome:  "data",
		},
		{
			name:     "insert",
			value:    nestedOrder,
			script:   []string{"201 "},
			requests: []string{deepInsert},
			outcome:  outcomeWritten,
		},
	})
}

// Rows with nested content share batches with others, each in a changeset of its own. Only the rejected row is not
// written.
func TestNestedUpdatesShareBatches(t *testing.T) {
	run := open(t, nestedShop(), append(set("00", "Orders"), oneOrderingKey, updateMode,
		"sap.odata.changesets=all", "sap.odata.nested.updates=operations")...)
	host := run.host("Orders")
	host.value("ID", "a", "Note", "1")
	host.value("ID", "b", "Items", connectdata.List{fields("Pos", int64(1))})
	host.value("ID", "c", "Items", connectdata.List{fields("Pos", int64(2))})
	host.value("ID", "d", "Note", "2")
	host.value("ID", "e", "Note", "3")
	done := part("204 No Content")
	host.answer = func(request *wit.Request) wit.Response {
		n := strings.Count(string(request.Body), "boundary=changeset")
		assert.True(t, n == 4, "expected 4 changesets, found %d in %s", n, request.Body)
		refused := part("400 Bad Request", "Content-Type: application/json\r\n\r\n", denial("X/1", "no"))
		return batchAnswer(changeset(done), refused, changeset(done, done), changeset(done, done))
	}
	host.run()
	found := strings.Join(host.outcomes, " ")
	assert.True(t, found == "written data written written written" && len(host.requests) == 1,
		"found %s after %d requests (%v)", found, len(host.requests), host.reasons)
	assert.Contains(t, host.reasons[1].Message, "Orders('b') with nested entities")
}

// Settings that exclude nested updates are rejected.
func TestNestedUpdatesRejected(t *testing.T) {
	orders := append(set("00", "Orders"), updateMode, "sap.odata.nested.updates=operations")
	for _, more := range []string{"sap.odata.enable.batch=0", "sap.odata.max.batch.size=1", "sap.odata.etag=use"} {
		_, err := newPlugin().Open(sinkconfig.V2.Class, configuration(append(orders, more)...), nil, nil)
		failure := odataerror.As(err)
		assert.True(t, err != nil && failure.Setting != nil && *failure.Setting == sinkconfig.NameNestedUpdates,
			"%s: expected an error about %s, found %v", more, sinkconfig.NameNestedUpdates, err)
	}
}

// A nested entity whose entity set the metadata do not declare rejects the row.
func TestNestedUpdateOfUndeclaredSetRejectsRow(t *testing.T) {
	run := open(t, shopService(), append(set("00", "Orders"), updateMode, "sap.odata.nested.updates=operations")...)
	result, _ := run.writeRow("Orders", wit.ValueSlice{},
		run.schemaless(fields("ID", "a", "Items", connectdata.List{fields("Pos", int64(1))})))
	assert.True(t, result.Rejected != nil && strings.Contains(result.Rejected.Message, "an updatable entity set"),
		"found %+v", result)
}

// P20 for nested entities: rows that update the same one go in order, never in one delivery. All rows share one lane,
// also those of other entities, because rows with different keys may update the same nested entity.
func TestNestedEntitiesKeepTheirOrder(t *testing.T) {
	settings := append(set("00", "Orders"), "sap.odata.nested.updates=operations", mergeMode,
		"sap.odata#01.service="+gateway, "sap.odata#01.entityset=Items", "sap.odata#01.topic=Items")
	run := open(t, nestedShop(), settings...)
	item := connectdata.List{fields("Pos", int64(1))}
	var rows []wit.Row
	for i := range 8 { // some of the eight are in different lanes by their own keys
		rows = append(rows, wit.Row{Value: run.schemaless(fields("ID", "o"+strconv.Itoa(i), "Items", item))})
	}
	rows = append(rows, wit.Row{Topic: 1, Value: run.schemaless(fields("Pos", int64(1)))})
	itemRows := len(rows) // the next row is of another item
	rows = append(rows,
		wit.Row{Value: run.schemaless(fields("ID", "other", "Items", connectdata.List{fields("Pos", int64(2))}))})
	out, err := run.p.Encode(run.context, run.schemas, []string{"Orders", "Items"}, rows, run.data, nil, nil, nil)
	require.True(t, err == nil && len(out.Rejected) == 0, "%v %v", err, out.Rejected)
	last := -1
	sentRows := 0
	sentItemRows := 0
	for _, delivery := range out.Ready {
		assert.True(t, delivery.OrderingKey == out.Ready[0].OrderingKey,
			"rows %v: expected lane %d, found %d", delivery.Rows, out.Ready[0].OrderingKey, delivery.OrderingKey)
		sameItem := 0
		for _, row := range delivery.Rows {
			sentRows++
			if int(row) >= itemRows {
				continue
			}
			sameItem++
			assert.True(t, int(row) >= last, "row %d is sent after row %d", row, last)
			last = int(row)
		}
		sentItemRows += sameItem
		assert.True(t, sameItem <= 1, "rows %v share a delivery, and update the same item", delivery.Rows)
	}
	assert.True(t, sentItemRows == itemRows && sentRows == len(rows),
		"expected %d rows of the item and %d rows in all, found %d and %d", itemRows, len(rows), sentItemRows, sentRows)
}
