package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/wit"
)

// foldTest is a service that is written at random with faults, and what it must contain.
type foldTest struct {
	random *rand.Rand
	seed   uint64
	// names holds the names of the service's products by key.
	names map[string]string
	// isInvalid holds the rows of a flush that the service rejects.
	isInvalid map[int]bool
}

// The service equals the fold of the topic by key without the rejected rows, whatever fails: requests before and after
// they were done, responses cut off, invalid rows. Rows in doubt are checked.
func TestFold(t *testing.T) {
	for seed := range uint64(60) {
		random := rand.New(rand.NewPCG(seed, 13))
		test := &foldTest{random: random, seed: seed, names: map[string]string{}, isInvalid: map[int]bool{}}
		service := odatatest.New(odatatest.Options{})
		run := open(t, service, products("sap.odata.operation.mode=dynamic", "sap.odata.operation.mode.property=OP",
			"sap.odata.enable.delete=1", "sap.odata.insert.uncertain=check",
			fmt.Sprint("sap.odata.max.batch.size=", 1+random.IntN(20)),
			fmt.Sprint("sap.odata.max.in.flight=", 1+random.IntN(4)),
			"sap.odata.changesets="+[]string{"one", "all", "auto"}[random.IntN(3)])...)
		switches := []string{"changesets=any", "changesets=one", "batch-limit=2500", "batch-stop=true"}
		setSwitches(t, service, switches[random.IntN(4)])
		for flush := range 4 {
			host := run.host("ProductCopies")
			test.addRows(host, flush)
			host.answer = test.answers(host)
			host.maxAttempts = 100
			host.run()
			require.NoError(t, host.taskError, "seed", seed)
			test.checkOutcomes(t, host, flush)
			clear(test.isInvalid)
		}
		require.Equal(t, test.names, test.stored(service), "seed", seed)
	}
}

// The same for upserts, many of them of new entities, at a service that may refuse whole batches or say "exists" in
// unknown words. No entity is inserted twice.
func TestFoldOfUpserts(t *testing.T) {
	insertedFirst := 0
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 14))
		test := &foldTest{random: random, seed: seed, names: map[string]string{}, isInvalid: map[int]bool{}}
		service := odatatest.New(odatatest.Options{})
		run := open(t, service, products(upsertMode, "sap.odata.upsert.method=put",
			fmt.Sprint("sap.odata.max.batch.size=", 25+random.IntN(50)),
			fmt.Sprint("sap.odata.max.in.flight=", 1+random.IntN(2)))...)
		setSwitches(t, service, "refuse=wrong", fmt.Sprint("refuse-batch=", random.IntN(2) == 0))
		isUnknown := random.IntN(2) == 0
		for flush := range 6 {
			host := run.host("ProductCopies")
			for row := range 100 {
				id := 1 + 50*flush + random.IntN(300)
				name := fmt.Sprint("v", seed, flush, row)
				if test.isInvalid[row] = random.IntN(60) == 0; test.isInvalid[row] {
					name = "wrong"
				} else {
					test.names[fmt.Sprint(id)] = name
				}
				host.addProducts(id, 1, name)
			}
			answer := test.answers(host)
			host.answer = func(request *wit.Request) wit.Response {
				response := answer(request)
				if isUnknown {
					response.Body = bytes.ReplaceAll(response.Body, []byte("already exists"), []byte("existe   deja "))
				}
				return response
			}
			host.maxAttempts = 100
			host.run()
			require.NoError(t, host.taskError, "seed", seed)
			test.checkOutcomes(t, host, flush)
			clear(test.isInvalid)
			if state, err := run.p.cache.Read(run.context); err == nil && state.SetCapabilities[0].InsertsFirst {
				insertedFirst++
			}
		}
		expectEqual(t, fmt.Sprint("seed ", seed), test.names, test.stored(service))
		for entity, writes := range service.Ledger().Writes {
			expectEqual(t, fmt.Sprintf("seed %d: inserts of %s", seed, entity), 1, writes.Created)
		}
	}
	assert.AtLeast(t, 10, insertedFirst, "many flushes after which upserts begin with the insert")
}

// stored returns the names of the service's products by key.
func (f *foldTest) stored(service *odatatest.Service) map[string]string {
	names := map[string]string{}
	service.Each("ProductCopies", func(_ string, fields map[string]string) {
		names[fields["ProductID"]] = fields["ProductName"]
	})
	return names
}

// addRows adds the rows of a flush.
func (f *foldTest) addRows(host *fakeHost, flush int) {
	for row := range 1 + f.random.IntN(40) {
		id := 1 + f.random.IntN(8) // a key of 0 may be numbered by the service
		key := fmt.Sprint(id)
		name := fmt.Sprint("v", f.seed, flush, row)
		_, ok := f.names[key]
		switch kind := f.random.IntN(10); {
		case kind < 2:
			host.tombstone("ProductID", int64(id))
			delete(f.names, key)
		case kind == 2: // the service rejects it
			host.value("ProductID", int64(id), "ProductName", nil, "Discontinued", nil, "UnitPrice", "-1",
				"ReorderLevel", "x", "OP", "U")
			f.isInvalid[row] = true
		case kind < 6:
			host.value("ProductID", int64(id), "ProductName", name, "Discontinued", false, "OP", "I")
			f.isInvalid[row] = ok
			if !ok {
				f.names[key] = name
			}
		default:
			host.value("ProductID", int64(id), "ProductName", name, "Discontinued", false, "OP", "M")
			f.isInvalid[row] = !ok
			if ok {
				f.names[key] = name
			}
		}
	}
}

// answers returns the responses of a flush. Some of the first 60 are faults.
func (f *foldTest) answers(host *fakeHost) func(request *wit.Request) wit.Response {
	requests := 0
	return func(request *wit.Request) wit.Response {
		fault := f.random.IntN(12)
		requests++
		if requests > 60 {
			return host.exchange(request)
		}
		switch fault {
		case 0: // before
			return wit.Response{Status: 503,
				Body: []byte(`{"error":{"code":"X/9","message":{"value":"not now"}}}`)}
		case 1:
			return wit.Response{Status: 429}
		case 2: // it may not have arrived
			return wit.Response{}
		case 3: // after
			host.exchange(request)
			return wit.Response{}
		case 4:
			host.exchange(request)
			return wit.Response{Status: 502, Body: []byte("<html>Bad Gateway</html>")}
		case 5:
			answer := host.exchange(request)
			if request.Method == "POST" {
				answer.Body = answer.Body[:len(answer.Body)*f.random.IntN(10)/10]
			}
			return answer
		}
		return host.exchange(request)
	}
}

func (f *foldTest) checkOutcomes(t *testing.T, host *fakeHost, flush int) {
	t.Helper()
	for i, outcome := range host.outcomes {
		// A row that the service would have rejected stays in doubt if its response was lost.
		isLost := outcome == outcomeInDoubt && !f.isInvalid[i]
		isWrong := outcome == outcomeWritten && f.isInvalid[i]
		if isLost || isWrong || outcome == "again and again" {
			t.Errorf("seed %d, flush %d, row %d: %s (%v), invalid: %t", f.seed, flush, i, outcome, host.reasons[i],
				f.isInvalid[i])
		}
	}
}
