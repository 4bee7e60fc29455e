package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/wit"
)

// methods returns the methods of the operations on products, such as "60 MERGE, 60 POST".
func (h *fakeHost) methods() string {
	var texts []string
	for _, method := range []string{"PUT", "MERGE", "PATCH", "POST"} {
		count := 0
		for i := range h.requests {
			count += strings.Count("\n"+string(h.requests[i].Body), "\n"+method+" ProductCopies")
			if !strings.HasSuffix(h.requests[i].Target, "/$batch") && h.requests[i].Method == method {
				count++
			}
		}
		if count > 0 {
			texts = append(texts, fmt.Sprint(count, " ", method))
		}
	}
	return strings.Join(texts, ", ")
}

// upsertedProducts is a number of products in a call, and the operations that write them.
type upsertedProducts struct {
	first   int
	count   int
	methods string
}

// Once the service has not found the rows of a batch, upserts begin with the insert, until the service refuses one.
// If an insert could have another result than the update, they begin with the update.
func TestUpsertsOfNewRowsBeginWithInsert(t *testing.T) {
	for _, test := range []struct {
		name     string
		settings []string
		answer   func(answer wit.Response) wit.Response // changes the responses
		calls    []upsertedProducts
	}{
		{
			name:     "new rows, an existing one, new rows",
			settings: []string{"sap.odata.upsert.method=put"},
			calls: []upsertedProducts{
				{first: 0, count: 30, methods: "30 PUT, 30 POST"},
				{first: 30, count: 30, methods: "30 POST"},
				{first: 59, count: 11, methods: "1 PUT, 11 POST"},
				{first: 70, count: 30, methods: "30 PUT, 30 POST"},
				{first: 100, count: 30, methods: "30 POST"},
			},
		},
		{
			name:     "existing rows",
			settings: []string{"sap.odata.upsert.method=put"},
			calls: []upsertedProducts{
				{first: 1, count: 30, methods: "30 PUT, 30 POST"},
				{first: 1, count: 30, methods: "30 PUT, 30 POST"},
				{first: 1, count: 30, methods: "30 PUT"},
			},
		},
		{
			name:     "few rows",
			settings: []string{"sap.odata.upsert.method=put"},
			calls: []upsertedProducts{
				{first: 0, count: minNewRows - 1, methods: "19 PUT, 19 POST"},
				{first: 30, count: minNewRows, methods: "20 PUT, 20 POST"},
				{first: 60, count: 1, methods: "1 POST"},
			},
		},
		{name: "merges of a part of the properties", calls: []upsertedProducts{
			{first: 0, count: 30, methods: "30 MERGE, 30 POST"},
			{first: 30, count: 30, methods: "30 MERGE, 30 POST"},
		}},
		{
			name:     "a service that does not say under which key",
			settings: []string{"sap.odata.upsert.method=put"},
			answer: func(answer wit.Response) wit.Response {
				answer.Body = location.ReplaceAll(answer.Body, nil)
				return answer
			},
			calls: []upsertedProducts{
				{first: 0, count: 30, methods: "30 PUT, 30 POST"},
				{first: 30, count: 30, methods: "30 PUT, 30 POST"},
			},
		},
	} {
		if test.answer == nil {
			test.answer = func(answer wit.Response) wit.Response { return answer }
		}
		for _, variant := range []int{0, 1} { // in v2 and in v4
			t.Run(test.name+" "+variants[variant].name, func(t *testing.T) {
				service := odatatest.New(odatatest.Options{})
				run := openVariant(t, variant, service, products(append(test.settings, oneOrderingKey, upsertMode,
					"sap.odata.changesets=one")...)...)
				for n, call := range test.calls {
					host := run.host("ProductCopies")
					host.answer = func(request *wit.Request) wit.Response { return test.answer(run.exchange(request)) }
					host.addProducts(call.first, call.count, fmt.Sprint("call ", n))
					host.run()
					require.NoError(t, host.taskError)
					host.expectAll(outcomeWritten)
					want := strings.ReplaceAll(call.methods, "MERGE", run.class.Dialect.Merge)
					expectEqual(t, fmt.Sprint("call ", n), want, host.methods())
				}
				for entity, writes := range service.Ledger().Writes {
					expectEqual(t, entity+": inserts", 1, writes.Created)
				}
			})
		}
	}
}

const minNewRows = 20 // see responses.minNewRows

// A service may refuse the insert of an existing entity in words that are not known. The update follows.
func TestUnknownRefusalOfFirstInsertIsUpdated(t *testing.T) {
	service := odatatest.New(odatatest.Options{})
	run := open(t, service, products(oneOrderingKey, upsertMode, "sap.odata.upsert.method=put")...)
	write := func(first, count int, name string) *fakeHost {
		host := run.host("ProductCopies")
		host.answer = func(request *wit.Request) wit.Response {
			answer := run.exchange(request)
			answer.Body = []byte(strings.ReplaceAll(string(answer.Body), "already exists", "existe   deja "))
			return answer
		}
		host.addProducts(first, count, name)
		host.run()
		require.NoError(t, host.taskError)
		return host
	}
	write(0, 30, "old").expectAll(outcomeWritten)
	host := write(29, 31, "new")
	host.expectAll(outcomeWritten)
	expectEqual(t, "operations", "1 PUT, 31 POST", host.methods())
	setSwitches(t, service, "refuse=wrong")
	write(100, 30, "fine").expectAll(outcomeWritten)
	host = write(200, 1, "wrong")
	host.expectAll("data")
	expectEqual(t, "operations of a wrong row", "1 PUT, 1 POST", host.methods())
	expectEqual(t, "entities", 90, service.Count("ProductCopies"))
}
