package sink

import (
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"

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

// normalizeBatches splits batches into their parts, with the kind of each boundary.
func normalizeBatches(shown []string) []string {
	for i, text := range shown {
		shown[i] = strings.ReplaceAll(boundaries.ReplaceAllString(text, "$1"), "\r\n", "\n")
	}
	return shown
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
			if outcome := host.outcomes[0]; host.taskError != nil || outcome != test.outcome {
				t.Errorf("expected %s, found %s (%v, %v)", test.outcome, outcome, host.reasons[0], host.taskError)
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
		{"update", []string{updateMode}, nestedOrder, []string{done}, []string{puts}, outcomeWritten},
		{"merge, one changeset each", []string{mergeMode, "sap.odata.changesets=one"}, nestedOrder, []string{done},
			[]string{merges}, outcomeWritten},
		{"locked, then not", []string{updateMode}, nestedOrder,
			[]string{singleAnswer("503 Not Now", denial("X/1", "later")), done}, []string{puts, puts}, outcomeWritten},
		{"too few answers, then all", []string{updateMode}, nestedOrder,
			[]string{nestedAnswer("204 No Content", 4), done}, []string{puts, puts}, outcomeWritten},
	})
}

// A rejected part rejects the row. A service without batches is an error of the configuration.
func TestRejectedNestedUpdateIsAnErrorOfTheRow(t *testing.T) {
	puts := nestedBatch("PUT")
	refused := singleAnswer("400 Bad Request", denial("X/1", "no such thing"))
	checkNested(t, []nestedCase{
		{"one of them is refused", []string{updateMode}, nestedOrder, []string{refused}, []string{puts}, "data"},
		{"one of them is missing", []string{updateMode}, nestedOrder, []string{missingAnswer("such thing")},
			[]string{puts}, "not-found"},
		{"the batch is refused", []string{updateMode}, nestedOrder, []string{"400 " + denial("X/1", "no batch")},
			[]string{puts}, "data"},
		{"too large", []string{updateMode}, nestedOrder, []string{"413 "}, []string{puts}, "data"},
		{"no batches there", []string{updateMode}, nestedOrder, []string{"405 "}, []string{puts}, "config"},
		{"no batches there, says a server", []string{updateMode}, nestedOrder, []string{"404 no such page"},
			[]string{puts}, "config"},
	})
}

// An upsert changes all nested entities, or inserts all if the order is missing.
func TestNestedUpsertUpdatesOrInserts(t *testing.T) {
	merges := nestedBatch("MERGE")
	done := nestedAnswer("204 No Content", 5)
	checkNested(t, []nestedCase{
		{"upsert that updates", []string{upsertMode}, nestedOrder, []string{done}, []string{merges}, outcomeWritten},
		{"upsert that inserts", []string{upsertMode}, nestedOrder, []string{missingAnswer("order"), "201 "},
			[]string{merges, deepInsert}, outcomeWritten},
		{"upsert of what is there, but for an item", []string{upsertMode}, nestedOrder,
			[]string{missingAnswer("item"), "409 " + denial("X/2", "the order exists"), missingAnswer("item")},
			[]string{merges, deepInsert, merges}, "not-found"},
	})
}

// Nested content must fit the entity type. Inserts, and updates without nested content, need no batch.
func TestNestedContentIsChecked(t *testing.T) {
	checkNested(t, []nestedCase{
		{"nothing nested", []string{updateMode}, fields("ID", "a", "Items", connectdata.List{}, "Buyer", nil),
			[]string{"204 "}, []string{`PUT /Orders('a') If-Match=* (repeatable) {"ID":"a"}`}, outcomeWritten},
		{"a key that isn't said", []string{updateMode},
			fields("ID", "a", "Items", connectdata.List{fields("Subs", nil)}), nil, nil, "data"},
		{"no array", []string{updateMode}, fields("ID", "a", "Items", fields("Pos", int64(1))), nil, nil, "data"},
		{"no struct", []string{updateMode}, fields("ID", "a", "Buyer", "x"), nil, nil, "data"},
		{"a null among them", []string{updateMode}, fields("ID", "a", "Items", connectdata.List{nil}), nil, nil,
			"data"},
		{"a field that isn't there", []string{updateMode},
			fields("ID", "a", "Items", connectdata.List{fields("Pos", int64(1), "Zip", "x")}), nil, nil, "data"},
		{"insert", nil, nestedOrder, []string{"201 "}, []string{deepInsert}, outcomeWritten},
	})
}

// Rows with nested content share batches with others, each in a changeset of its own. Only the rejected row is not
// written.
func TestNestedUpdatesShareBatches(t *testing.T) {
	run := open(t, nestedShop(), append(set("00", "Orders"), oneOrderingKey, "sap.odata.operation.mode=update",
		"sap.odata.changesets=all", "sap.odata.nested.updates=operations")...)
	host := run.host("Orders")
	host.value("ID", "a", "Note", "1")
	host.value("ID", "b", "Items", connectdata.List{fields("Pos", int64(1))})
	host.value("ID", "c", "Items", connectdata.List{fields("Pos", int64(2))})
	host.value("ID", "d", "Note", "2")
	host.value("ID", "e", "Note", "3")
	done := part("204 No Content")
	host.answer = func(request *wit.Request) wit.Response {
		if n := strings.Count(string(request.Body), "boundary=changeset"); n != 4 {
			t.Errorf("expected 4 changesets, found %d in %s", n, request.Body)
		}
		refused := part("400 Bad Request", "Content-Type: application/json\r\n\r\n", denial("X/1", "no"))
		return batchAnswer(changeset(done), refused, changeset(done, done), changeset(done, done))
	}
	host.run()
	if found := strings.Join(host.outcomes, " "); found != "written data written written written" ||
		len(host.requests) != 1 {
		t.Errorf("found %s after %d requests (%v)", found, len(host.requests), host.reasons)
	}
	if text := host.reasons[1].Message; !strings.Contains(text, "Orders('b') with nested entities") {
		t.Errorf("found %s", text)
	}
}

// Settings that exclude nested updates are rejected. A set that the metadata do not declare rejects the row.
func TestNestedUpdatesRejected(t *testing.T) {
	orders := append(set("00", "Orders"), "sap.odata.operation.mode=update", "sap.odata.nested.updates=operations")
	for _, more := range []string{"sap.odata.enable.batch=0", "sap.odata.max.batch.size=1", "sap.odata.etag=use"} {
		_, err := New("0.1.0").Open(sinkconfig.Component, configuration(append(orders, more)...), nil, nil)
		if failure := odataerror.As(err); err == nil || failure.Setting == nil ||
			*failure.Setting != sinkconfig.NameNestedUpdates {
			t.Errorf("%s: expected an error about %s, found %v", more, sinkconfig.NameNestedUpdates, err)
		}
	}
	run := open(t, shopService(), orders...) // has no sets for items
	result, _ := run.writeRow("Orders", wit.ValueSlice{},
		run.schemaless(fields("ID", "a", "Items", connectdata.List{fields("Pos", int64(1))})))
	if result.Rejected == nil || !strings.Contains(result.Rejected.Message, "an updatable entity set") {
		t.Errorf("found %+v", result)
	}
}

// P20 for nested entities: rows that update the same one go in order, never in one delivery.
func TestNestedEntitiesKeepTheirOrder(t *testing.T) {
	settings := append(set("00", "Orders"), "sap.odata.nested.updates=operations", "sap.odata.operation.mode=merge",
		"sap.odata#01.service="+gateway, "sap.odata#01.entityset=Items", "sap.odata#01.topic=Items")
	run := open(t, nestedShop(), settings...)
	item := connectdata.List{fields("Pos", int64(1))}
	var rows []wit.Row
	for i := range 8 { // some of the eight are in different lanes by their own keys
		rows = append(rows, wit.Row{Value: run.schemaless(fields("ID", "o"+strconv.Itoa(i), "Items", item))})
	}
	rows = append(rows, wit.Row{Topic: 1, Value: run.schemaless(fields("Pos", int64(1)))},
		wit.Row{Value: run.schemaless(fields("ID", "other", "Items", connectdata.List{fields("Pos", int64(2))}))})
	out, err := run.p.Encode(run.context, run.schemas, []string{"Orders", "Items"}, rows, run.data, nil, nil, nil)
	if err != nil || len(out.Rejected) > 0 {
		t.Fatal(err, out.Rejected)
	}
	last := -1
	for _, delivery := range out.Ready {
		if delivery.OrderingKey != out.Ready[0].OrderingKey {
			t.Errorf("rows %v: expected lane %d, found %d", delivery.Rows, out.Ready[0].OrderingKey,
				delivery.OrderingKey)
		}
		same := 0
		for _, row := range delivery.Rows {
			if row < 9 { // rows of item 1
				same++
				if int(row) < last {
					t.Errorf("row %d is sent after row %d", row, last)
				}
				last = int(row)
			}
		}
		if same > 1 {
			t.Errorf("rows %v share a delivery, and update the same item", delivery.Rows)
		}
	}
}
