package main

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/plugins/odata/requests"
	"github.com/culvert-project/culvert/wit"
)

// Rows are sent one by one if the service has no $batch, whatever its status. The service itself is believed at once, a
// router once the service has accepted single requests and the next batch is answered in the same way. A gateway's
// response proves nothing.
func TestServicesWithoutBatch(t *testing.T) {
	for _, test := range []struct {
		answer  string
		batches int // sent in the run
		none    bool
	}{
		{answer: "501", batches: 2, none: true},
		{answer: "501 <html>Not Implemented", batches: 2, none: true},
		{answer: "501 " + denial("X/1", "no"), batches: 1, none: true},
		{answer: "405", batches: 2, none: true},
		{answer: "404 <html>", batches: 2, none: true},
		{answer: "404", batches: 1, none: true},
		{answer: "404 DataServiceVersion: 2.0", batches: 1, none: true},
		{answer: "415", batches: 2, none: true},
		{answer: "502", batches: 1},
		{answer: "504 <html>", batches: 1},
	} {
		run := openOrders(t, oneOrderingKey)
		batches := 0
		singles := 0
		for range 3 {
			host := run.host("Orders")
			for i := range 3 {
				host.value("ID", strconv.Itoa(i), "Note", "n")
			}
			host.answer = func(request *wit.Request) wit.Response {
				if strings.HasSuffix(request.Target, "/$batch") {
					batches++
					return scripted(t, test.answer)(request)
				}
				singles++
				return wit.Response{Status: 201}
			}
			host.run()
			if !test.none {
				host.expectAll(outcomeInDoubt)
				break
			}
			host.expectAll(outcomeWritten)
		}
		wantSingle := 0
		if test.none {
			wantSingle = 9
		}
		assert.True(t, batches == test.batches && singles == wantSingle,
			"%s: found %d batches and %d requests of one row", test.answer, batches, singles)
	}
}

// A router answers for a service that restarts: all requests at first, then no more. The service has sent
// its metadata in this run, so rows wait for it, and batches continue afterwards. Other statuses than 404 fail the task
// until the service has answered a request for a row, as with a server that lets no such requests pass.
func TestRouterAnswersForRestartingService(t *testing.T) {
	for _, test := range []struct {
		router   string
		answered bool // the service has answered requests for rows before
		away     int  // number of the router's answers
		batches  int
		outcome  string
	}{
		{router: "404 Requested route ('x') does not exist.", answered: true, away: 5, batches: 3,
			outcome: outcomeWritten},
		{router: "404 <html>", answered: true, away: 5, batches: 3, outcome: outcomeWritten},
		{router: "405", answered: true, away: 2, batches: 3, outcome: outcomeWritten},
		{router: "415 no", answered: true, away: 3, batches: 3, outcome: outcomeWritten},
		{router: "404 Requested route ('x') does not exist.", away: 5, batches: 2, outcome: outcomeWritten},
		{router: "405", away: 2, batches: 1, outcome: "fault unsupported"},
		{router: "404 " + denial("X/1", "no such set"), answered: true, away: 5, batches: 2,
			outcome: "fault not-found"},
	} {
		run := openOrders(t, oneOrderingKey)
		batches := 0
		away := 0
		write := func() *fakeHost {
			host := run.host("Orders")
			for i := range 3 {
				host.value("ID", strconv.Itoa(i), "Note", "n")
			}
			host.answer = func(request *wit.Request) wit.Response {
				isBatch := strings.HasSuffix(request.Target, "/$batch")
				if isBatch {
					batches++
				}
				switch {
				case away > 0:
					away--
					return scripted(t, test.router)(request)
				case isBatch:
					return batchAnswer(part("201 Created"), part("201 Created"), part("201 Created"))
				}
				return wit.Response{Status: 201}
			}
			host.run()
			return host
		}
		if test.answered {
			write().expectAll(outcomeWritten)
		}
		away = test.away
		host := write()
		if host.taskError == nil {
			write().expectAll(outcomeWritten)
		}
		if outcome := host.outcome(); outcome != test.outcome || batches != test.batches {
			t.Errorf("%s: expected %s after %d batches, found %s after %d (%v)", test.router, test.outcome,
				test.batches, outcome, batches, host.reasons[0])
		}
	}
}

// A router answers batches only, of several concurrent ones: batches are turned off only by one that was encoded after
// a single request had worked, which itself was sent after the router's first answer. A batch that the service answers
// turns them on again, also for batches that were encoded before.
func TestEarlyBatchesDoNotTurnBatchesOff(t *testing.T) {
	router := wit.Response{Status: 404, Body: []byte("<html>")}
	worked := wit.Response{Status: 201}
	batchWorked := batchAnswer() // without results, which the rows need, but from the service
	for _, test := range []struct {
		name string
		// steps are what is encoded, as NAME: for a batch and NAME. for a single request, and what is answered.
		steps   string
		batches bool // later rows are sent in batches
	}{
		{name: "batch of before the single request", steps: "a: b: a=router c. c=worked b=router", batches: true},
		{name: "batch of after it", steps: "a: b: a=router c. c=worked b=router d: d=router"},
		{name: "single request of before the router's answer", steps: "a: c. a=router c=worked d: d=router",
			batches: true},
		{name: "and another one of after it", steps: "a: c. a=router c=worked d. d=worked e: e=router"},
		{name: "batches worked since", steps: "a: a=router c. c=worked d: e: d=batch e=router", batches: true},
		{name: "batches worked, then away again",
			steps: "a: a=router c. c=worked d: d=batch e: e=router f. f=worked g: g=router"},
	} {
		run := openOrders(t, "sap.odata.max.in.flight=4")
		encode := func() *wit.Delivery {
			host := run.host("Orders")
			for i := range 40 {
				host.value("ID", strconv.Itoa(i), "Note", "n")
			}
			out, err := run.p.Encode(run.context, nil, []string{"Orders"}, host.rows, slices.Clone(run.data), nil, nil,
				nil)
			require.NoError(t, err)
			return &out.Ready[0]
		}
		deliveries := map[string]*wit.Delivery{}
		answers := map[string]wit.Response{"router": router, "worked": worked, "batch": batchWorked}
		for step := range strings.FieldsSeq(test.steps) {
			name, answer, isAnswer := strings.Cut(step, "=")
			switch {
			case isAnswer:
				delivery := deliveries[name]
				result, err := run.p.HandleResponse(run.context, delivery.State, delivery.Rows, answers[answer])
				require.NoError(t, err)
				if result.Context != nil {
					run.context = *result.Context
				}
			case strings.HasSuffix(name, "."):
				deliveries[name[:1]] = &wit.Delivery{State: run.deliveryState(requests.Insert, "/Orders"),
					Rows: []uint32{1}}
			default:
				deliveries[name[:1]] = encode()
			}
		}
		isBatch := strings.HasSuffix(encode().Request.Target, "/$batch")
		assert.True(t, isBatch == test.batches, "%s: expected batches %t, found %t", test.name, test.batches, isBatch)
	}
}
