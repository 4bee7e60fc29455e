package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/plugins/odata/entityset"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// oneOrderingKey puts all requests that may share a batch into one sequence.
const oneOrderingKey = "sap.odata.max.in.flight=1"

func products(more ...string) []string { return append(set("00", "ProductCopies"), more...) }

func setSwitches(t *testing.T, service *odatatest.Service, switches ...string) {
	t.Helper()
	for _, line := range switches {
		name, value, _ := strings.Cut(line, "=")
		require.NoError(t, service.Set(name, value))
	}
}

// batchTest is a case of TestBatches.
type batchTest struct {
	name     string
	settings []string
	switches []string
	requests int // $batch, at most
}

// Invalid rows are rejected, all others are written once, and the order of each key is kept.
func TestBatches(t *testing.T) {
	for _, test := range []batchTest{
		{"auto at SAP", nil, nil, 6},
		{"all", []string{"sap.odata.changesets=all"}, nil, 9},
		{"all in batches of 7", []string{"sap.odata.changesets=all", "sap.odata.max.batch.size=7"}, nil, 60},
		{"all, refused", []string{"sap.odata.changesets=all"}, []string{"changesets=one"}, 9},
		{"limited", nil, []string{"batch-limit=3000"}, 80},
		{"Atom", []string{"sap.odata.request.format=atom"}, nil, 6},
		{"no $batch", nil, []string{"no-batch=true"}, 3},
		{"off", []string{"sap.odata.enable.batch=0"}, nil, 0},
		{"of one", []string{"sap.odata.max.batch.size=1"}, nil, 0},
		{"four ordering keys", []string{"sap.odata.max.in.flight=4"}, nil, 30},
	} {
		for variant := range variants {
			if test.name == "Atom" && !variants[variant].class.Dialect.Atom {
				continue
			}
			t.Run(test.name+" "+variants[variant].name, func(t *testing.T) { test.run(t, variant) })
		}
	}
}

func (test *batchTest) run(t *testing.T, variant int) {
	service := odatatest.New(odatatest.Options{})
	run := openVariant(t, variant, service, append(products(oneOrderingKey, "sap.odata.operation.mode=dynamic",
		"sap.odata.operation.mode.property=OP", "sap.odata.enable.delete=1"), test.settings...)...)
	setSwitches(t, service, test.switches...)
	host := run.host("ProductCopies")
	var want []string
	isInvalid := map[int]bool{}
	for i := range 60 {
		operation := "I"
		name := fmt.Sprint("name ", i)
		if i%20 == 7 {
			// longer than the property, which the connector may not know
			name = strings.Repeat("x", 41)
			isInvalid[len(host.rows)] = true
		} else {
			want = append(want, fmt.Sprintf("%d:%s", i, "second"))
		}
		host.value("ProductID", int64(i), "ProductName", name, "Discontinued", false, "OP", operation)
	}
	for i := range 60 {
		if i%20 == 7 {
			isInvalid[len(host.rows)] = true // missing
		}
		host.value("ProductID", int64(i), "ProductName", "second", "Discontinued", false, "OP", "u")
	}
	host.tombstone("ProductID", int64(3))
	want = slices.DeleteFunc(want, func(text string) bool { return strings.HasPrefix(text, "3:") })
	host.run()
	require.NoError(t, host.taskError)
	for i, found := range host.outcomes {
		if isInvalid[i] == (found == outcomeWritten) || found == outcomeInDoubt {
			t.Errorf("row %d: %s (%v)", i, found, host.reasons[i])
		}
	}
	slices.Sort(want)
	remaining := productsOf(service)
	slices.Sort(remaining)
	expectEqual(t, "found", want, remaining)
	if batches, _ := host.batches(); batches > test.requests || (test.requests > 0 && batches == 0) {
		t.Errorf("expected at most %d batches, found %d", test.requests, batches)
	}
	for entity, writes := range service.Ledger().Writes {
		assert.True(t, writes.Created == 1, "%s was created %d times", entity, writes.Created)
	}
}

// What was learned is kept: the second time nothing is tried in vain.
func TestLearnsFromResponses(t *testing.T) {
	for name, test := range map[string]struct {
		settings []string
		switches []string
		first    int
		second   int
	}{
		"changesets of one":   {[]string{"sap.odata.operation.mode=merge"}, []string{"changesets=one"}, 2, 1},
		"inserts":             {nil, []string{"changesets=one"}, 1, 1},
		"smaller bodies":      {nil, []string{"batch-limit=6000"}, 0, 0},
		"no batch":            {nil, []string{"no-batch=true"}, 21, 20},
		"changesets of one 2": {[]string{"sap.odata.changesets=all"}, []string{"changesets=one"}, 2, 2},
	} {
		t.Run(name, func(t *testing.T) {
			service := odatatest.New(odatatest.Options{})
			address := northwind(oneOrderingKey)
			if slices.Contains(test.settings, "sap.odata.operation.mode=merge") { // only existing entities
				host := open(t, service, address...).host("ProductCopies")
				host.addProducts(100, 300, "old")
				host.run()
				host.expectAll(outcomeWritten)
			}
			run := open(t, service, append(address, test.settings...)...)
			setSwitches(t, service, test.switches...)
			requests := func(from int) *fakeHost {
				host := run.host("ProductCopies")
				host.addProducts(from, 20, "x")
				host.run()
				host.expectAll(outcomeWritten)
				return host
			}
			first := len(requests(100).requests)
			second := requests(200)
			assert.True(t, test.first <= 0 || (first == test.first && len(second.requests) == test.second),
				"expected %d requests and then %d, found %d and %d", test.first, test.second, first,
				len(second.requests))
			refused := service.Ledger().Statuses[413]
			requests(300)
			assert.True(t, service.Ledger().Statuses[413] == refused,
				"expected no body above the limit that earlier responses have shown")
		})
	}
}

// Inserts share a changeset only if configured.
func TestChangesetsOfInserts(t *testing.T) {
	plain := strings.ReplaceAll(shop, entityset.NamespaceSAP, "http://h/other")
	for mode, want := range map[string]int{"insert": 3, "merge": 1} {
		host := open(t, metadataService(plain), append(set("00", "Orders"), oneOrderingKey,
			"sap.odata.operation.mode="+mode)...).host("Orders")
		for i := range 3 {
			host.value("ID", fmt.Sprint(i), "Note", "n")
		}
		answered := 0
		host.answer = func(request *wit.Request) wit.Response {
			found := strings.Count(string(request.Body), "Content-Type: multipart/mixed")
			assert.True(t, answered != 0 || found == want, "%s: expected %d changesets, found %d:\n%s", mode, want,
				found, request.Body)
			answered++
			return wit.Response{Status: 401}
		}
		host.run()
	}
}

// Services with conversion exits treat keys that differ in case, leading zeros or blanks as the same. Their rows share
// an ordering key.
func TestEquivalentKeysShareOrderingKey(t *testing.T) {
	t.Parallel()
	run := openOrders(t, "sap.odata.operation.mode=merge", "sap.odata.max.in.flight=4")
	host := run.host("Orders")
	var rows []uint32
	for i, id := range []string{"A7", "a7", "00A7", "A7 ", "Ä7", "ä7", "B1"} {
		host.value("ID", id, "Note", "n")
		rows = append(rows, uint32(i))
	}
	host.outcomes = make([]string, len(rows))
	host.reasons = make([]*wit.Error, len(rows))
	host.isInDoubt = make([]bool, len(rows))
	keys := map[uint32]uint32{}
	delivery := map[uint32]int{}
	for index, sent := range host.encode(rows, nil) {
		for _, row := range sent.rows {
			keys[row] = sent.OrderingKey
			delivery[row] = index
		}
	}
	for _, same := range [][]uint32{{0, 1, 2, 3}, {4, 5}} {
		for i := 1; i < len(same); i++ {
			a := same[i-1]
			b := same[i]
			assert.True(t, keys[a] == keys[b] && delivery[a] < delivery[b],
				"expected row %d after row %d in its sequence, found keys %d and %d, deliveries %d and %d", b, a,
				keys[b], keys[a], delivery[b], delivery[a])
		}
	}
}

// Upserts of missing entities fail one by one, and a service that stops at a failure does not process the following
// ones. They are sent without a batch.
func TestServiceThatStopsAtAFailure(t *testing.T) {
	service := odatatest.New(odatatest.Options{})
	run := open(t, service, northwind(oneOrderingKey, "sap.odata.operation.mode=upsert", "sap.odata.changesets=one")...)
	setSwitches(t, service, "batch-stop=true")
	host := run.host("ProductCopies")
	host.addProducts(100, 20, "x")
	host.run()
	host.expectAll(outcomeWritten)
	batches, _ := host.batches()
	assert.Equal(t, 1, batches, "batch: in", len(host.requests), "requests")
}

// After a rejected update the other operations of the stopped batch are sent in a batch again, a few times.
func TestUpdatesAfterFailedPart(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ bad, batches, singles int }{{0, 1, 0}, {1, 2, 0}, {3, 4, 0}, {20, 5, 31}} {
		service := odatatest.New(odatatest.Options{})
		settings := northwind(oneOrderingKey, "sap.odata.changesets=one")
		host := open(t, service, settings...).host("ProductCopies")
		host.addProducts(0, 20, "x")
		host.run()
		host.expectAll(outcomeWritten)
		setSwitches(t, service, "batch-stop=true")
		host = open(t, service, append(settings, "sap.odata.operation.mode=merge")...).host("ProductCopies")
		for i := range 20 {
			if i < test.bad { // a missing entity
				host.addProducts(1000+i, 1, "y")
			}
			host.addProducts(i, 1, "y")
		}
		host.run()
		found := map[string]int{}
		for _, outcome := range host.outcomes {
			found[outcome]++
		}
		batches, singles := host.batches()
		assert.True(t, found["not-found"] == test.bad && found[outcomeWritten] == 20 && batches == test.batches &&
			singles == test.singles,
			"%d invalid rows: found %v with %d batches and %d requests", test.bad, found, batches, singles)
	}
}

// A response is cut off at any byte: its complete parts count, the other rows are in doubt or, with upserts, looked up.
// Nothing is done twice.
func TestTruncatedBatchResponse(t *testing.T) {
	for _, mode := range []string{"insert", "upsert"} {
		sink := open(t, odatatest.New(odatatest.Options{}), products(oneOrderingKey, "sap.odata.operation.mode="+mode,
			"sap.odata.upsert.first=insert")...)
		for end, responseSize := 0, 1; end < responseSize; end++ {
			responseSize = writeTruncated(t, sink, end, mode)
		}
	}
}

func writeTruncated(t *testing.T, sink *harness, end int, mode string) (responseSize int) {
	t.Helper()
	service := odatatest.New(odatatest.Options{})
	run := &harness{t: t, service: service, p: sink.p, context: sink.context}
	host := run.host("ProductCopies")
	host.addProducts(0, 3, "x")
	host.answer = func(request *wit.Request) wit.Response {
		response := host.exchange(request)
		if responseSize == 0 {
			responseSize = len(response.Body)
			response.Body = response.Body[:min(end, len(response.Body))]
		}
		return response
	}
	host.run()
	require.NoError(t, host.taskError, end, "bytes")
	for i, found := range host.outcomes {
		if found != outcomeWritten && (found != outcomeInDoubt || mode == "upsert") {
			t.Errorf("%s, %d bytes, row %d: %s (%v)", mode, end, i, found, host.reasons[i])
		}
	}
	for entity, n := range service.Ledger().Writes {
		assert.True(t, n.Created == 1, "%s, %d bytes: %s was created %d times", mode, end, entity, n.Created)
	}
	return responseSize
}

// A batch whose response lacks parts is sent again in halves, at the end row by row: the service may answer, or
// process, no more than some operations of a batch. Rows that must not be repeated are checked.
func TestBatchWithMissingPartsIsHalved(t *testing.T) {
	const rows = 40
	for _, test := range []struct {
		name     string
		settings []string
		answers  int // parts of a response, at most
		requests int // at most
		writes   int // of a row, at most
	}{
		{"updates", []string{"sap.odata.operation.mode=merge", "sap.odata.changesets=one"}, 10, 7, 3},
		{"updates, one by one at the end", []string{"sap.odata.operation.mode=merge", "sap.odata.changesets=one"}, 1,
			79, 6},
		{"updates in one changeset", []string{"sap.odata.operation.mode=merge", "sap.odata.changesets=all"}, 1, 1, 1},
		{"inserts", []string{"sap.odata.insert.uncertain=check"}, 10, 41, 1},
		{"inserts, none twice with a RequestID", []string{"sap.odata.insert.uncertain=repeatable"}, 10, 47, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			service := odatatest.New(odatatest.Options{Switches: odatatest.Switches{Repeatability: true}})
			isUpdate := strings.HasPrefix(test.name, "updates")
			if isUpdate {
				stock := open(t, service, northwind(oneOrderingKey)...).host("ProductCopies")
				stock.addProducts(100, rows, "old")
				stock.run()
				stock.expectAll(outcomeWritten)
			}
			run := open(t, service, northwind(append(test.settings, oneOrderingKey)...)...)
			setSwitches(t, service, fmt.Sprint("batch-answers=", test.answers))
			host := run.host("ProductCopies")
			host.addProducts(100, rows, "new")
			host.run()
			require.NoError(t, host.taskError)
			host.expectAll(outcomeWritten)
			assert.AtMost(t, test.requests, len(host.requests), "requests")
			for entity, n := range service.Ledger().Writes {
				assert.True(t, n.Created == 1 && (!isUpdate || n.Updated <= test.writes),
					"%s: expected 1 insert and at most %d updates, found %d and %d", entity, test.writes, n.Created,
					n.Updated)
			}
			if names := productsOf(service); len(names) != rows || slices.Contains(names, "old") {
				t.Errorf("expected %d products, found %d: %s", rows, len(names), names)
			}
		})
	}
}

// A changeset that is answered with a message for each operation, one of them an error, says nothing of its rows. They
// are halved until the bad one is alone, but the service answered all parts: later batches are as large as before.
func TestOneBadRowDoesNotShrinkLaterBatches(t *testing.T) {
	const rows = 16
	run := open(t, odatatest.New(odatatest.Options{}), products(oneOrderingKey, "sap.odata.operation.mode=merge",
		"sap.odata.changesets=all")...)
	write := func(badKey string) *fakeHost {
		host := run.host("ProductCopies")
		host.addProducts(100, rows, "x")
		host.answer = func(request *wit.Request) wit.Response {
			if !strings.HasSuffix(request.Target, "/$batch") {
				if strings.Contains(request.Target, badKey) {
					return wit.Response{Status: 400, Body: []byte(denial("X/1", "wrong"))}
				}
				return wit.Response{Status: 204}
			}
			var parts []string
			for line := range strings.Lines(string(request.Body)) {
				switch {
				case !strings.HasPrefix(line, "MERGE "): // no request line of an update
				case strings.Contains(line, badKey):
					parts = append(parts, errorPart("400 Bad Request"))
				default:
					parts = append(parts, part("204 No Content"))
				}
			}
			return batchAnswer(changeset(parts...))
		}
		host.run()
		return host
	}
	host := write("(107)")
	expectEqual(t, "outcome of the bad row", "data", host.outcomes[7])
	later := write("(999)")
	later.expectAll(outcomeWritten)
	expectEqual(t, "later requests", 1, len(later.requests))
}

// A service answers 20 operations of a batch at most. Nested updates count: of ten rows with three of them each, later
// batches have five. A response that was cut off on its way says nothing of the service: its batch is sent in parts,
// and later batches are as large as before.
func TestSizeOfLaterBatches(t *testing.T) {
	const rows = 10
	for _, test := range []struct {
		name     string
		answers  int  // rows of a response, at most
		cutOff   bool // the first response lacks the end
		requests int
		later    int // requests of the same rows in another call
	}{
		{name: "some rows are answered", answers: 5, requests: 3, later: 2},
		{name: "a response is cut off", answers: rows, cutOff: true, requests: 3, later: 1},
	} {
		run := open(t, nestedShop(), append(set("00", "Orders"), oneOrderingKey, "sap.odata.operation.mode=update",
			"sap.odata.nested.updates=operations")...)
		isCutOff := test.cutOff
		write := func() *fakeHost {
			host := run.host("Orders")
			for i := range rows {
				items := connectdata.List{}
				for pos := range int64(3) {
					items = append(items, fields("Pos", 3*int64(i)+pos))
				}
				host.value("ID", strconv.Itoa(i), "Items", items)
			}
			host.answer = func(request *wit.Request) wit.Response {
				done := part("204 No Content")
				parts := make([]string, min(test.answers, strings.Count(string(request.Body), "boundary=changeset")))
				for i := range parts {
					parts[i] = changeset(done, done, done, done)
				}
				response := batchAnswer(parts...)
				if isCutOff {
					isCutOff = false
					response.Body = response.Body[:10]
				}
				return response
			}
			host.run()
			host.expectAll(outcomeWritten)
			return host
		}
		expectEqual(t, test.name+": requests", test.requests, len(write().requests))
		expectEqual(t, test.name+": later requests", test.later, len(write().requests))
	}
}

// A batch of one row, which nested updates need, cannot be smaller: after the attempts its row fails, and the message
// says what was missing.
func TestBatchOfOneRowIsNotHalved(t *testing.T) {
	run := open(t, nestedShop(), append(set("00", "Orders"), oneOrderingKey, "sap.odata.operation.mode=update",
		"sap.odata.nested.updates=operations")...)
	host := run.host("Orders")
	host.value("ID", "1", "Items", connectdata.List{fields("Pos", int64(1))})
	host.answer = func(*wit.Request) wit.Response { return batchAnswer() }
	host.run()
	expectEqual(t, "outcome", "again and again", host.outcome())
	expectEqual(t, "requests", host.maxAttempts+1, len(host.requests))
}

// Unusual responses to a batch of three inserts.
func TestUnusualBatchResponses(t *testing.T) {
	set := func(status string, more ...string) string { return changeset(part(status, more...)) }
	const mixed, end = "multipart/mixed; boundary=b", "--b--\r\n"
	const doubts = "in doubt in doubt in doubt"
	created := set("201 Created")
	createdAs := func(id string) string { return set("201 Created", "Content-ID: "+id+"\r\n") }
	bad := part("400 Bad Request", "Content-Type: application/json\r\n\r\n"+
		`{"error":{"code":"X/1","message":{"lang":"en","value":"wrong"}}}`)
	for _, test := range []struct {
		name   string
		kind   string
		body   string
		status int
		want   string
	}{
		{"all well", mixed, created + created + set("204 No Content") + end, 202, "written written written"},
		{"HTTP 200", mixed, created + created + set("204 No Content") + end, 200, "written written written"},
		{"bare", mixed, part("201 Created") + bad + part("201 Created") + end, 202, "written data written"},
		{"an error inside the changeset", mixed, created + set("409 Conflict") + created + end,
			202, "written conflict written"},
		{"later parts missing", mixed, created + bad + end, 202, "written data in doubt"},
		{"too few", mixed, created + created + end, 202, doubts},
		{"too few, with ids", mixed, createdAs("1") + createdAs("3") + end, 202, doubts},
		{"too many", mixed, created + created + created + created + end, 202, doubts},
		{"in another order", mixed, createdAs("2") + numbered("1", bad) + createdAs("3") + end, 202, doubts},
		{"ids of its own", mixed, createdAs("1") + createdAs("1") + createdAs("1") + end, 202, doubts},
		{"accepted, and not yet done", mixed, created + set("202 Accepted") + set("207 Multi-Status") + end,
			202, "written in doubt in doubt"},
		{"another status line", mixed, created + set("OK") + set("299 Odd") + end, 202, "written in doubt written"},
		{"HTML", "text/html", "<html><body>Log on</body></html>", 200, doubts},
		{"HTML as multipart", mixed, "<html><body>Log on</body></html>", 200, doubts},
		{"an error with success", "application/json", `{"error":{"code":"X/1","message":{"value":"no"}}}`, 200, doubts},
		{"nothing", "", "", 202, doubts},
		{"an empty multipart", mixed, end, 202, doubts},
		{"an empty multipart that opens", mixed, "--b\r\n\r\n" + end, 202, doubts},
		{"502", "text/html", "<html>Bad Gateway</html>", 502, doubts},
		{"no answer", "", "", 0, doubts},
		// Some changesets may be stored.
		{"500, user locked", "application/json", denial("X/1", "User SMITH was locked"), 500, doubts},
		{"500, client locked", "application/json", denial("X/1", "Client 100 is currently locked"), 500, doubts},
		{"500, data locked", "application/json", denial("X/1", "Order 7 is currently locked"), 500, doubts},
	} {
		t.Run(test.name, func(t *testing.T) {
			run := open(t, odatatest.New(odatatest.Options{}), products(oneOrderingKey)...)
			host := run.host("ProductCopies")
			host.addProducts(1, 3, "x")
			sent := 0
			host.answer = func(*wit.Request) wit.Response {
				sent++
				assert.True(t, sent <= 1, "expected no second request")
				return wit.Response{Status: uint16(test.status), Body: []byte(test.body),
					Headers: []wit.Header{{Name: "Content-Type", Value: test.kind}}}
			}
			host.run()
			assert.Equal(t, test.want, strings.Join(host.outcomes, " "), host.reasons)
		})
	}
}

// Responses in a changeset are matched by Content-ID in any order. Without Content-IDs, or with one of another
// changeset, position counts.
func TestChangesetResponsesByContentID(t *testing.T) {
	for name, test := range map[string]struct{ answers, want string }{
		"in order":         {"1 2 3", "written written written"},
		"in another order": {"3 1 2", "written written written"},
		"without":          {"- - -", "written written written"},
		"one without":      {"2 - 3", "in doubt in doubt in doubt"},
		"of others":        {"4 5 6", "in doubt in doubt in doubt"},
	} {
		t.Run(name, func(t *testing.T) {
			run := open(t, odatatest.New(odatatest.Options{}), products(oneOrderingKey, "sap.odata.changesets=all")...)
			host := run.host("ProductCopies")
			host.addProducts(1, 3, "x")
			var parts []string
			for i, id := range strings.Fields(test.answers) {
				location := func(n string) string {
					return part("201 Created", "Location: http://h/ProductCopies("+n+")\r\n")
				}
				if id == "-" {
					parts = append(parts, location(strconv.Itoa(i+1)))
				} else {
					parts = append(parts, numbered(id, location(id)))
				}
			}
			host.answer = func(*wit.Request) wit.Response { return batchAnswer(changeset(parts...)) }
			host.run()
			assert.Equal(t, test.want, strings.Join(host.outcomes, " "), host.reasons)
		})
	}
}

// answerInserts sends inserts in a batch, and responds to the last part with second. Later requests are answered 201.
func answerInserts(t *testing.T, rows int, second string, settings ...string) (wit.ResponseResult, *fakeHost) {
	t.Helper()
	run := open(t, odatatest.New(odatatest.Options{}), products(append(settings, oneOrderingKey)...)...)
	host := run.host("ProductCopies")
	host.addProducts(1, rows, "x")
	answer := batchAnswer(part("201 Created"), second)
	answer.ReceivedAt = 1_700_000_000_000
	delivery := host.encoded(1, "ProductCopies", host.rows...)[0]
	result, err := host.p.HandleResponse(host.context, delivery.State, delivery.Rows, answer)
	require.NoError(t, err)
	sent := 0
	host.answer = func(*wit.Request) wit.Response {
		sent++
		if sent == 1 {
			return answer
		}
		return wit.Response{Status: 201}
	}
	host.run()
	return result, host
}

func errorPart(status string, headers ...string) string {
	return part(status, "Content-Type: application/json\r\n", strings.Join(headers, ""), "\r\n",
		denial("X/1", "not now"))
}

// Configured codes count for inserts if the response proves that nothing was written: in a batch, with an error
// document, or with a 4xx status.
func TestRetriableInserts(t *testing.T) {
	for _, test := range []struct{ codes, part, want string }{
		{"", errorPart("502 Bad Gateway"), outcomeWritten},
		{"", errorPart("504 Gateway Timeout"), outcomeWritten},
		{"X/1", errorPart("500 Internal Server Error"), outcomeWritten},
		{"423", errorPart("423 Locked"), outcomeWritten},
		{"", errorPart("423 Locked"), "data"},
		{"429", errorPart("502 Bad Gateway"), "data"},
		{"", part("502 Bad Gateway"), outcomeInDoubt}, // not an error document, so it may come from a gateway
	} {
		var settings []string
		if test.codes != "" {
			settings = []string{"sap.odata.http.codes=" + test.codes}
		}
		_, host := answerInserts(t, 2, test.part, settings...)
		assert.True(t, host.outcomes[0] == outcomeWritten && host.outcomes[1] == test.want,
			"%s, with codes %q: expected the second one to be %s, found %v (%v)", test.part, test.codes, test.want,
			host.outcomes, host.reasons)
	}
	for _, test := range []struct {
		status string
		codes  string
		want   string
	}{{"423", "423", outcomeWritten}, {"423", "429", "data"}, {"502 " + denial("X/1", "not now"), "502",
		outcomeInDoubt}} {
		run := open(t, odatatest.New(odatatest.Options{}), products("sap.odata.enable.batch=0",
			"sap.odata.http.codes="+test.codes)...)
		host := run.host("ProductCopies")
		host.addProducts(1, 1, "x")
		host.answer = scripted(t, test.status, "201")
		host.run()
		if host.outcomes[0] != test.want {
			t.Errorf("%s alone, with codes %s: expected %s, found %s (%v)", test.status, test.codes, test.want,
				host.outcomes[0],
				host.reasons[0])
		}
	}
}

// A part contains Retry-After in seconds or as a date.
func TestRetryAfterInParts(t *testing.T) {
	for header, want := range map[string]uint32{
		"Retry-After: 7\r\n":                                7_000,
		"Retry-After: 100000\r\n":                           100_000_000,
		"Retry-After: Tue, 14 Nov 2023 22:13:50 GMT\r\n":    30_000,
		"Retry-After: Tue, 14 Nov 2023 22:00:00 GMT\r\n":    0, // in the past
		"Retry-After: Fri, 31 Dec 9999 23:59:59 GMT\r\n":    1<<31 - 1,
		"Retry-After: soon\r\n":                             0,
		"Retry-After: 99999999999999999999999999999999\r\n": 0,
		"": 0,
	} {
		result, _ := answerInserts(t, 2, errorPart("429 Too Many Requests", header))
		if rowResult := result.Results[1]; rowResult.Retry == nil || rowResult.Retry.WaitMs != want {
			t.Errorf("%q: expected a delay of %d ms, found %+v", header, want, rowResult)
		}
	}
}

// A 413 to a batch from before the limit was learned does not raise the limit.
func TestLateResponseToLargerBatch(t *testing.T) {
	run := open(t, odatatest.New(odatatest.Options{}), products(oneOrderingKey)...)
	encodeRows := func(rows int) *wit.Delivery {
		host := run.host("ProductCopies")
		host.addProducts(0, rows, "x")
		out, err := run.p.Encode(run.context, nil, []string{"ProductCopies"}, host.rows, slices.Clone(run.data), nil,
			nil, nil)
		require.True(t, err == nil && len(out.Ready) != 0, "expected a delivery, found %+v (%v)", out, err)
		return &out.Ready[0]
	}
	large := encodeRows(40)
	small := encodeRows(10)
	for _, delivery := range []*wit.Delivery{small, large} {
		result, err := run.p.HandleResponse(run.context, delivery.State, delivery.Rows, wit.Response{Status: 413})
		require.NoError(t, err)
		if result.Context != nil {
			run.context = *result.Context
		}
	}
	if delivery := encodeRows(40); len(delivery.Request.Body) > len(small.Request.Body)/2 {
		t.Errorf("expected at most half of the %d bytes that were rejected, found %d", len(small.Request.Body),
			len(delivery.Request.Body))
	}
}

// A service that stops at a failed part leaves the following inserts in doubt. The error mentions the setting that
// finds them.
func TestErrorMentionsInsertCheck(t *testing.T) {
	for policy, isMentioned := range map[string]bool{"fail": true, "check": false} {
		result, host := answerInserts(t, 3, errorPart("400 Bad Request"), "sap.odata.insert.uncertain="+policy)
		rowResult := result.Results[2]
		assert.True(t, rowResult.Rejected != nil && rowResult.Rejected.Kind == wit.ErrorTransient &&
			strings.Contains(rowResult.Rejected.Message, "sap.odata.insert.uncertain = check") == isMentioned,
			"%s: expected the third row to be in doubt, found %+v", policy, rowResult)
		assert.True(t, !isMentioned || host.outcomes[2] == outcomeInDoubt,
			"expected the third row to stay in doubt, found %v", host.outcomes)
	}
}
