package sink

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/internal/run/runtest"
	"github.com/culvert-project/culvert/internal/run/task"
	"github.com/culvert-project/culvert/internal/transport"
	"github.com/culvert-project/culvert/wit"
)

// checker is a plugin that checks with a GET whether a row in doubt exists: the service knows the rows whose POST it
// accepted.
type checker struct {
	writer
	// hasty makes Encode write rows in doubt in place of checking them.
	hasty bool
	// unrepeatableChecks makes its checks requests that must not be repeated.
	unrepeatableChecks bool
	// hints are the hints that rows were encoded with.
	hints []string
	// soloBytes contains the size of the data of each row that was encoded alone.
	soloBytes []int
	// checkResult, if not nil, returns the result of a check by the status of its response. By default, 200 means
	// written and 404 means missing.
	checkResult func(status uint16) wit.RowResult
}

func (c *checker) Encode(_ context.Context, context []byte, b *record.Batch, recordIDs record.RecordIDs,
	hints []wit.Hint) (d wit.EncodeResult, err error) {
	hinted := map[uint32]string{}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(b.Rows) == 1 {
		c.soloBytes = append(c.soloBytes, len(b.Data))
	}
	for _, h := range hints {
		hinted[h.Row] = h.Text
		c.hints = append(c.hints, string(b.Bytes(b.Rows[h.Row].Key))+":"+h.Text)
	}
	for i := range b.Rows {
		key := string(b.Bytes(b.Rows[i].Key))
		r := wit.Request{Method: "POST", Target: "/Set", Body: []byte(key)}
		if string(b.Bytes(b.Rows[i].Value)) == "merge" {
			r = wit.Request{Method: "MERGE", Target: "/Set", Body: []byte("merge " + key), Repeatable: true}
		}
		if requestsCheck(hinted[uint32(i)]) && !c.hasty {
			r = wit.Request{Method: "GET", Target: "/Set", Body: []byte("look " + key),
				Repeatable: !c.unrepeatableChecks}
		}
		d.Ready = append(d.Ready, wit.Delivery{Request: r, Rows: []uint32{uint32(i)}, State: r.Body,
			OrderingKey: uint32(key[0])})
	}
	return d, nil
}

func (c *checker) HandleResponse(ctx context.Context, context []byte, memo []byte, rows []uint32,
	response wit.Response) (wit.ResponseResult, error) {
	if !strings.HasPrefix(string(memo), "look ") {
		return c.writer.HandleResponse(ctx, context, memo, rows, response)
	}
	result := wit.RowResult{Written: wit.Set}
	switch {
	case c.checkResult != nil:
		result = c.checkResult(response.Status)
	case response.Status == 404:
		result = wit.RowResult{Retry: &wit.Retry{Hint: "insert"}}
	case response.Status != 200:
		result = wit.RowResult{Retry: &wit.Retry{Error: &wit.Error{Kind: wit.ErrorTransient, Message: "answered 503"}}}
	}
	return wit.ResponseResult{Results: []wit.RowResult{result}}, nil
}

// newCheckedWorld returns a world with a plugin that checks, and the records a, b and c.
func newCheckedWorld(c *checker) *world {
	x := newWorldOf(&c.writer, c)
	x.o.InFlight = 1
	x.group.put("orders", 3, "a=1", "b=2", "c=3")
	return x
}

// T6: a POST without a response is checked by the plugin: an existing row is not sent again, a missing row is sent once
// more, and a failed check is repeated.
func TestRowsInDoubtAreChecked(t *testing.T) {
	for name, c := range map[string]struct {
		statuses []uint16 // of the checks
		want     string   // the requests
	}{
		"exists":                         {statuses: []uint16{200}, want: "a b look b c"},
		"is missing":                     {statuses: []uint16{404}, want: "a b look b b c"},
		"exists, after failed checks":    {statuses: []uint16{503, 503, 200}, want: "a b look b look b look b c"},
		"is missing, after failed check": {statuses: []uint16{503, 404}, want: "a b look b look b b c"},
	} {
		runtest.Bubble(t, name, func(t *testing.T) {
			x := newCheckedWorld(&checker{})
			responseLost := false
			checks := 0
			x.service.answer = func(_ int, body string) (uint16, error) {
				switch {
				case body == "b" && !responseLost:
					responseLost = true
					return 0, lostResponse()
				case body == "look b":
					checks++
					return c.statuses[checks-1], nil
				}
				return 201, nil
			}
			task := x.mustRun(t)
			assert.Equal(t, c.want, strings.Join(x.service.bodies(), " "))
			assert.Equal(t, 3, task.Progress().Written, "written")
			assert.Equal(t, 3, x.committed("orders", 3), "committed")
			if metadata := x.group.metadata[topicPartition{"orders", 3}]; strings.Contains(metadata, "u") &&
				task.o.InDoubt.cause(x.group.logs[topicPartition{"orders", 3}][1]) != nil {
				t.Errorf("the record is still in doubt: %s", metadata)
			}
		})
	}
}

// P19: without a response nobody knows whether a request that must not be repeated was done. Whatever the plugin says,
// its rows are in doubt, and each is written once: of 231 records every fifth gets no response, and half of these are
// written.
func TestRowsWithoutResponseAreInDoubtWhateverThePluginSays(t *testing.T) {
	transient := &wit.Error{Kind: wit.ErrorTransient, Message: "no response"}
	for name, wrongResult := range map[string]wit.RowResult{
		"retry":                  {Retry: &wit.Retry{Hint: "insert"}},
		"retry with an error":    {Retry: &wit.Retry{Error: transient}},
		"retry with a check":     {Retry: &wit.Retry{Hint: wit.HintUncertain}},
		"written":                {Written: wit.Set},
		"rejected":               {Rejected: &wit.Error{Kind: wit.ErrorData, Message: "invalid"}},
		"rejected and transient": {Rejected: transient},
	} {
		runtest.Bubble(t, name, func(t *testing.T) {
			const records = 231
			x := newCheckedWorld(&checker{writer: writer{lostResult: &wrongResult}})
			x.o.InFlight = 4
			for n := 3; n < records; n++ {
				x.group.put("orders", 3, fmt.Sprintf("%c%d=1", 'a'+n%20, n))
			}
			written := map[string]int{}
			posts := 0
			x.service.answer = func(_ int, body string) (uint16, error) {
				if entity, ok := strings.CutPrefix(body, "look "); ok {
					if written[entity] == 0 {
						return 404, nil
					}
					return 200, nil
				}
				posts++
				if posts%10 != 5 {
					written[body]++
				}
				if posts%5 == 0 {
					return 0, lostResponse()
				}
				return 201, nil
			}
			task := x.mustRun(t)
			twice := 0
			for _, writes := range written {
				if writes > 1 {
					twice++
				}
			}
			assert.Equal(t, 0, twice, "records that were written twice")
			assert.Equal(t, records, len(written), "records that were written")
			assert.Equal(t, records, task.Progress().Written, "written, as the task counts")
			assert.Equal(t, records, x.committed("orders", 3), "committed")
		})
	}
}

// A check without a response proves nothing, whatever the plugin says: it is repeated.
func TestCheckWithoutResponseIsRepeated(t *testing.T) {
	for name, wrongResult := range map[string]wit.RowResult{
		"written":     {Written: wit.Set},
		"not written": {Retry: &wit.Retry{Hint: "insert"}},
		"unknown":     {Rejected: &wit.Error{Kind: wit.ErrorData, Message: "invalid"}},
	} {
		runtest.Bubble(t, name, func(t *testing.T) {
			x := newCheckedWorld(&checker{unrepeatableChecks: true, checkResult: func(status uint16) wit.RowResult {
				if status == 0 {
					return wrongResult
				}
				return wit.RowResult{Written: wit.Set}
			}})
			checks := 0
			x.service.answer = func(_ int, body string) (uint16, error) {
				switch body {
				case "look b":
					checks++
					if checks < 3 {
						return 0, lostResponse()
					}
					return 200, nil
				case "b":
					return 0, lostResponse()
				}
				return 201, nil
			}
			x.mustRun(t)
			assert.Equal(t, "a b look b look b look b c", strings.Join(x.service.bodies(), " "))
			assert.Equal(t, 3, x.committed("orders", 3), "committed")
		})
	}
}

// A row that cannot be checked stays in doubt, with what is known and why it was not checked; nothing is sent again.
func TestUncheckableRowsStayInDoubt(t *testing.T) {
	const noKind = wit.ErrorKind(255)
	rejection := &wit.Error{Kind: wit.ErrorData, Message: "it is numbered by the service"}
	for name, c := range map[string]struct {
		plugin *checker
		status uint16 // of the check
		sent   []string
		want   string
		kind   wit.ErrorKind // of the task's error; decides whether the task is restarted automatically
	}{
		"the plugin writes": {
			plugin: &checker{hasty: true},
			sent:   []string{"a", "b"},
			want:   "not checked: the plugin returned POST as the check: expected GET or HEAD",
			kind:   noKind,
		},
		"a rejected check": {
			plugin: &checker{checkResult: func(uint16) wit.RowResult { return wit.RowResult{Rejected: rejection} }},
			status: 200,
			sent:   []string{"a", "b", "look b"},
			want:   "not checked: it is numbered by the service",
			kind:   wit.ErrorData,
		},
		"a check that fails each time": {
			plugin: &checker{},
			status: 503,
			sent:   []string{"a", "b", "look b", "look b", "look b", "look b"},
			want:   "not checked: answered 503",
			kind:   wit.ErrorTransient,
		},
		"a check that finds an error": {
			plugin: &checker{checkResult: func(uint16) wit.RowResult {
				return wit.RowResult{Retry: &wit.Retry{Hint: "insert", Error: rejection}}
			}},
			status: 200,
			sent:   []string{"a", "b", "look b", "look b", "look b", "look b"},
			want:   "not checked: it is numbered by the service",
			kind:   wit.ErrorData,
		},
	} {
		for _, tolerant := range []bool{false, true} {
			runtest.Bubble(t, name, func(t *testing.T) {
				x := newCheckedWorld(c.plugin)
				x.o.TolerateAll = tolerant
				x.service.answer = byBody(map[string]uint16{"b": 0, "look b": c.status})
				_, err := x.run(t)
				runtest.Fails(t, err, `offset 1, key "b"`, "may have been written or not, and is not sent again",
					"POST /Set may have arrived", c.want, "errors.uncertain.send=orders-3@1")
				kind := noKind
				if f := new(wit.Error); errors.As(err, &f) {
					kind = f.Kind
				}
				assert.Equal(t, c.kind, kind, "the error's kind")
				assert.Equal(t, c.sent, x.service.bodies())
			})
		}
	}
}

// A partition is lost while one of its deliveries waits, and is assigned again after another member was killed that had
// started to write the records. The outcome of the old delivery does not count: the records are read again and checked.
func TestOldDeliveryOfReassignedPartition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newCheckedWorld(&checker{})
		x.o.Once = false
		x.o.InFlight = 1
		tp := topicPartition{"orders", 3}
		x.group.put("orders", 2, "x=1")
		x.service.delayByBody = map[string]time.Duration{"a": 10 * time.Second, "x": 10 * time.Second}
		x.service.answer = byBody(map[string]uint16{"look a": 200, "look b": 200, "look c": 404})
		stop := runtest.Start(t, NewTask(x.o).Run)
		runtest.Pass(5 * time.Second) // one delivery is in progress, b and c wait
		x.group.lose(tp)
		x.group.mu.Lock()
		x.group.committed[tp] = 0
		x.group.metadata[tp] = "sent=0-2"
		x.group.mu.Unlock()
		x.group.assign(tp)
		time.Sleep(time.Minute)
		require.NoError(t, stop())
		seen := x.service.bodies()
		for body, want := range map[string]int{"b": 0, "look b": 1, "c": 1, "look c": 1, "x": 1} {
			count := 0
			for _, sent := range seen {
				if sent == body {
					count++
				}
			}
			assert.Equal(t, want, count, "requests", body, "in", seen)
		}
		assert.Equal(t, 3, x.committed("orders", 3), "committed")
	})
}

// A record in doubt that cannot be checked is moved to another member before its turn: the task still fails because of
// it, since later records are no longer written.
func TestUncheckableRecordOfLostPartition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(&writer{})
		x.o.Once = false
		x.o.InFlight = 1
		tp := topicPartition{"orders", 3}
		x.group.put("orders", 2, "x=1")
		x.group.put("orders", 3)
		x.group.metadata[tp] = "uncertain=0"
		x.group.committed[tp] = 0
		x.service.delay = 10 * time.Second
		stop := runtest.Start(t, NewTask(x.o).Run)
		runtest.Pass(5 * time.Second) // x is in progress
		x.group.put("orders", 3, "a=1")
		runtest.Pass(time.Second)
		x.group.lose(tp)
		x.group.put("orders", 2, "y=1")
		time.Sleep(time.Minute)
		if err := stop(); err == nil && !slices.Contains(x.service.bodies(), "y=1") {
			t.Errorf("expected y to be written or the task to fail, found %v", x.service.bodies())
		}
	})
}

// A task that stops with a record in doubt is not restarted automatically if the network lost the response, but is if
// the network prevented the check.
func TestRestartAfterLostResponse(t *testing.T) {
	away := &net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}
	noResponse := &transport.NoResponseError{Method: "POST", Target: "/Set", Cause: away}
	for _, c := range []struct {
		why  error
		want bool
	}{
		{why: noResponse},
		{why: fmt.Errorf("%w (%w)", noResponse, &wit.Error{Kind: wit.ErrorTransient})},
		{why: &uncheckedError{noResponse, errors.New("there is no check")}},
		{why: &uncheckedError{noResponse, away}, want: true},
	} {
		err := fmt.Errorf("write: %w", &recordError{item: &item{}, stage: "write", err: c.why, inDoubt: true})
		assert.Equal(t, c.want, errors.Is(err, away), "the network in", c.why)
	}
}

// A record that an earlier run left in doubt is checked before anything else is done about it, without an operator.
func TestRecordsInDoubtAreCheckedAtStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &checker{hasty: true}
		x := newCheckedWorld(c)
		x.service.answer = byBody(map[string]uint16{"b": 0, "look b": 200})
		x.mustFail(t, `offset 1, key "b"`)
		// another process, with a plugin that checks
		c.hasty = false
		x.o.InDoubt = nil
		x.o.Revoked = nil
		x.mustRun(t)
		assert.Equal(t, "a b look b c", strings.Join(x.service.bodies(), " "),
			"the requests, of which the check is the first")
		assert.Equal(t, 3, x.committed("orders", 3), "committed")
		assert.NotContains(t, x.metadata(topicPartition{"orders", 3}), "1", "metadata without the offset 1")
	})
}

// Records that a killed run may have sent are checked before they are sent: existing ones are not written twice,
// although no metadata marks them.
func TestRecordsOfAKilledRunAreChecked(t *testing.T) {
	for name, c := range map[string]struct {
		status   uint16 // of the check of b
		requests string
	}{
		"exists":     {status: 200, requests: "look a look b c"},
		"is missing": {status: 404, requests: "look a look b b c"},
	} {
		runtest.Bubble(t, name, func(t *testing.T) {
			x := newCheckedWorld(&checker{})
			tp := topicPartition{"orders", 3}
			x.group.metadata[tp] = "sent=0-1"
			x.group.committed[tp] = 0
			x.service.answer = byBody(map[string]uint16{"look a": 200, "look b": c.status})
			x.mustRun(t)
			assert.Equal(t, c.requests, strings.Join(x.service.bodies(), " "))
			assert.Equal(t, 3, x.committed("orders", 3), "committed")
			assert.Equal(t, "", x.group.metadata[tp], "metadata")
		})
	}
	synctest.Test(t, func(t *testing.T) {
		reject := func(uint16) wit.RowResult {
			return wit.RowResult{Rejected: &wit.Error{Kind: wit.ErrorConflict, Message: "another one is there"}}
		}
		x := newCheckedWorld(&checker{checkResult: reject})
		tp := topicPartition{"orders", 3}
		x.group.metadata[tp] = "sent=0-1"
		x.group.committed[tp] = 0
		x.mustFail(t, "an earlier run, which was killed, may have written it", "another one is there",
			"orders-3@0", "orders-3@1")
		seen := x.service.bodies()
		assert.True(t, !slices.Contains(seen, "a"), "a record in doubt was sent: %s", seen)
	})
}

// While a record in doubt cannot be checked, nothing that was read after it is sent, also not together with earlier
// records: if an operator decides to send the record, it would follow a later one of its key. Earlier records are
// written.
func TestUncheckableRecordBlocksLaterOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &writer{rowsPerRequest: 3}
		x := newWorld(w)
		x.group.put("orders", 3, "k1=1", "k2=1", "k2=2", "k3=1")
		tp := topicPartition{"orders", 3}
		x.group.metadata[tp] = "uncertain=1"
		x.group.committed[tp] = 0
		x.mustFail(t, `offset 1, key "k2"`, "it is not looked up", "orders-3@1")
		assert.Equal(t, []string{"k1=1"}, x.service.bodies(), "the requests, only of earlier records")
		assert.Equal(t, 1, x.committed("orders", 3), "offset 1 to be committed")
	})
}

// If a plugin wants to write a record in doubt together with others, the task fails before anything is sent: the
// others, left out, would follow later records of their keys.
func TestDeliveryWithRecordInDoubtFailsWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		post := func(body string, rows ...uint32) wit.Delivery {
			return wit.Delivery{Request: wit.Request{Method: "POST", Target: "/Set", Body: []byte(body)},
				OrderingKey: 1, Rows: rows, State: []byte(body)}
		}
		w := &writer{onEncode: func(d *wit.EncodeResult, hints []wit.Hint) error {
			if len(hints) > 0 {
				*d = wit.EncodeResult{Ready: []wit.Delivery{post("k1=1,k2=1", 0, 2), post("k1=2", 1)}}
			}
			return nil
		}}
		x := newWorld(w)
		x.group.put("orders", 3, "k1=1", "k1=2", "k2=1")
		tp := topicPartition{"orders", 3}
		x.group.metadata[tp] = "uncertain=2"
		x.group.committed[tp] = 0
		x.mustFail(t, "orders-3@2", "the plugin returned POST as the check: expected GET or HEAD")
		assert.Len(t, 0, x.service.bodies(), "request")
	})
}

// Checks follow each other without a pause: a hundred records in doubt per second at 8 ms a request, in virtual time.
// Only failed checks are repeated after a pause. A row in doubt is encoded alone, not with its whole batch, which may
// have 32 MiB.
func TestChecksNeedNoPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const doubts = 240
		c := &checker{checkResult: func(status uint16) wit.RowResult {
			if status == 410 { // check at another URL
				return wit.RowResult{Retry: &wit.Retry{Hint: wit.HintUncertain}}
			}
			return wit.RowResult{Retry: &wit.Retry{Hint: "insert"}}
		}}
		x := newWorldOf(&c.writer, c)
		x.o.InFlight = 4
		x.service.delay = 8 * time.Millisecond
		for i := range doubts {
			x.group.put("t", 0, fmt.Sprintf("%c%d=v", 'a'+i%26, i))
		}
		tp := topicPartition{"t", 0}
		x.group.metadata[tp] = fmt.Sprintf("sent=0-%d", doubts-1)
		x.group.committed[tp] = 0
		looks := map[string]int{}
		x.service.answer = func(_ int, body string) (uint16, error) {
			if !strings.HasPrefix(body, "look ") {
				return 201, nil
			}
			looks[body]++
			if looks[body] < 3 {
				return 410, nil
			}
			return 404, nil
		}
		start := time.Now()
		x.mustRun(t)
		if elapsed := time.Since(start) - x.o.Linger; elapsed > doubts*10*time.Millisecond ||
			len(x.service.bodies()) != 4*doubts || x.committed("t", 0) != doubts {
			t.Errorf("%d records in doubt took %v and %d requests", doubts, elapsed, len(x.service.bodies()))
		}
		assert.True(t, len(c.soloBytes) >= doubts && slices.Max(c.soloBytes) <= len("z239v"),
			"expected %d rows, each with its own bytes, found %v", doubts, c.soloBytes)
	})
}

// learner records in its context each response that it has settled.
type learner struct {
	checker
	contexts []string // the contexts that encode received
	calls    int
	overlap  bool // whether calls of HandleResponse were concurrent
}

func (l *learner) Encode(ctx context.Context, context []byte, b *record.Batch, recordIDs record.RecordIDs,
	hints []wit.Hint) (wit.EncodeResult, error) {
	l.mu.Lock()
	l.contexts = append(l.contexts, string(context))
	l.mu.Unlock()
	return l.checker.Encode(ctx, context, b, recordIDs, hints)
}

func (l *learner) HandleResponse(_ context.Context, context []byte, _ []byte, _ []uint32,
	_ wit.Response) (wit.ResponseResult, error) {
	l.mu.Lock()
	l.calls++
	l.overlap = l.overlap || l.calls > 1
	l.mu.Unlock()
	<-time.After(time.Second) // time for further calls
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls--
	return wit.ResponseResult{Results: []wit.RowResult{{Written: wit.Set}},
		Context: wit.Ptr(append(slices.Clone(context), 'x'))}, nil
}

// The context that settle returns is passed to the next call of settle and of encode: responses are settled one after
// another, and nothing that was learned is lost.
func TestLearnedContextIsPassedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &learner{}
		x := newWorldOf(&l.writer, l)
		x.o.Once = false
		x.o.InFlight = 4
		x.o.BatchRows = 5
		x.group.put("t", 0, "a=", "b=", "c=", "d=", "e=")
		x.group.maxPoll = 5
		stop := runtest.Start(t, NewTask(x.o).Run)
		runtest.Pass(time.Minute)
		x.group.put("t", 0, "f=")
		runtest.Pass(time.Minute)
		require.NoError(t, stop())
		assert.True(t, slices.Equal(l.contexts, []string{"", "xxxxx"}) && !l.overlap,
			"expected the second call of encode to receive %q, found %q; concurrent calls of settle: %v", "xxxxx",
			l.contexts, l.overlap)
	})
}

// The learned context belongs to one version and one task: another version, and a new task, start with the context from
// open.
func TestLearnedContextEndsWithVersionAndTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before := &learner{}
		after := &learner{}
		x := newWorldOf(&before.writer, before)
		x.o.InFlight = 1
		x.o.BatchRows = 2
		x.group.put("t", 0, "a=", "b=", "c=", "d=", "e=", "f=", "g=", "h=", "i=", "j=", "k=", "l=")
		x.group.maxPoll = 2
		x.service.answer = func(n int, _ string) (uint16, error) {
			if n == 3 {
				x.versions.SetCandidate(code("", after))
			}
			return 201, nil
		}
		x.mustRun(t)
		hasLearned := func(context string) bool { return context != "" }
		assert.True(t, slices.ContainsFunc(before.contexts, hasLearned),
			"expected the first version to have learned, found %q", before.contexts)
		// A batch may be encoded before the responses to the previous one, and is then encoded again.
		checkLearning := func(name string, contexts []string) {
			t.Helper()
			assert.True(t, len(contexts) != 0 && contexts[0] == "" && slices.ContainsFunc(contexts, hasLearned),
				"expected %s to begin without a learned context and to learn, found %q", name, contexts)
		}
		checkLearning("the second version", after.contexts)
		first := len(after.contexts)
		x.group.put("t", 0, "m=", "n=", "o=", "p=")
		x.mustRun(t)
		checkLearning("the second task", after.contexts[first:])
	})
}

// A row that the plugin delays waits, but not forever.
func TestRetryWaitsAsRequested(t *testing.T) {
	for _, c := range []struct {
		waitMs uint32
		want   time.Duration
	}{
		{waitMs: 0, want: 0},
		{waitMs: 2500, want: 2500 * time.Millisecond},
		{waitMs: math.MaxUint32, want: time.Minute},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := &writer{waitMs: c.waitMs}
			x := newWorld(w)
			x.group.put("t", 0, "a=1")
			var times []time.Time
			x.service.answer = func(n int, _ string) (uint16, error) {
				times = append(times, time.Now())
				return map[bool]uint16{true: 409, false: 201}[n == 1], nil
			}
			x.mustRun(t)
			assert.True(t, len(times) == 2 && times[1].Sub(times[0]) == c.want,
				"wait-ms %d: expected two requests %v apart, found %v", c.waitMs, c.want, times)
		})
	}
}

// idRecorder is a plugin that records the record IDs that encode receives with rows.
type idRecorder struct {
	writer
	ids []string
}

func (r *idRecorder) Encode(ctx context.Context, context []byte, b *record.Batch, recordIDs record.RecordIDs,
	hints []wit.Hint) (wit.EncodeResult, error) {
	for i, id := range recordIDs.IDs {
		r.ids = append(r.ids, fmt.Sprintf("%s:%s-%d@%d/%d of %d", b.Bytes(b.Rows[i].Key), recordIDs.Topics[id.Topic],
			id.Partition, id.Offset, id.Part, b.Rows[i].Timestamp))
	}
	return r.writer.Encode(ctx, context, b, recordIDs, hints)
}

// Rows keep the ID of the record that was read, whatever transforms change in topics, numbers and timestamps, also when
// they are encoded again: a RequestID is derived from it, and must be the same after a restart.
func TestRowsKeepRecordIDs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &idRecorder{}
		x := newWorldOf(&n.writer, n)
		x.o.InFlight = 1
		x.group.put("east", 1, "a=1", "b=2")
		x.group.put("west", 2, "c=3")
		x.group.logs[topicPartition{"west", 2}][0].Timestamp = time.Time{} // no timestamp
		x.o.NewChain = func(context.Context) (Chain, error) {
			return chainFunc(func(b *record.Batch) []wit.RowError {
				rows := b.Rows
				b.Topics = []string{"all"}
				b.Rows = nil
				for _, r := range rows {
					r.Topic = 0
					r.Offset = 7
					r.Partition = -1
					r.Timestamp = time.Now().UnixMilli()
					if string(b.Bytes(r.Key)) == "b" {
						b.Rows = append(b.Rows, r)
					}
					b.Rows = append(b.Rows, r)
				}
				return nil
			}), nil
		}
		x.service.answer = func(count int, _ string) (uint16, error) {
			return map[bool]uint16{true: 409, false: 201}[count == 3], nil
		}
		x.mustRun(t)
		want := []string{"a:east-1@0/0 of 7", "b:east-1@1/0 of 7", "b:east-1@1/1 of 7", "c:west-2@0/0 of -1",
			"b:east-1@1/1 of 7"}
		assert.Equal(t, want, n.ids)
	})
}

// A record that a check has found is stored as written before the next one in its lane is sent: otherwise the next run
// after a kill would check it again and find it changed.
func TestCheckResultIsStoredBeforeNextSend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &checker{}
		x := newWorldOf(&c.writer, c)
		x.o.InFlight = 1
		x.o.CommitInterval = time.Hour
		tp := topicPartition{"orders", 3}
		x.group.put(tp.topic, tp.partition, "a=1", "a=merge")
		// stored by a killed run
		x.group.committed[tp] = 0
		x.group.metadata[tp] = "sent=0"
		merged := false
		x.service.answer = func(_ int, body string) (uint16, error) {
			if body == "merge a" {
				merged = true
				metadata := x.metadata(tp)
				assert.True(t, x.committed(tp.topic, tp.partition) >= 1 || strings.Contains(metadata, "settled=0"),
					"expected the record before to be stored as settled, found %q", metadata)
			}
			return 200, nil
		}
		x.mustRun(t)
		assert.True(t, merged, "expected the second record to be sent")
	})
}

// knower is a plugin that learns from its first response what a check needs.
type knower struct{ checker }

const knowledge = "known=nabc"

func (k *knower) HandleResponse(ctx context.Context, _ []byte, memo []byte, rows []uint32,
	response wit.Response) (wit.ResponseResult, error) {
	settled, err := k.checker.HandleResponse(ctx, []byte(k.version), memo, rows, response)
	if response.Status == 201 {
		settled.Context = wit.Ptr([]byte(knowledge + "\nand more"))
	}
	return settled, err
}

// newKnowingWorld returns a world in which checks need knowledge: they find a row only with it, and otherwise report it
// missing.
func newKnowingWorld() (x *world, k *knower) {
	k = &knower{}
	x = newWorldOf(&k.writer, k)
	x.o.InFlight = 1
	x.group.put("t", 0, "a=1", "b=1", "c=1", "d=1", "e=1")
	return x, k
}

// The plugin's knowledge is stored before anything else is sent that must not be sent twice, and is returned with each
// record in doubt, in a later run and to the member that the partition is assigned to, even if that member has learned
// nothing.
func TestPluginContextIsStored(t *testing.T) {
	tp := topicPartition{"t", 0}
	for _, name := range []string{"killed", "killed twice", "lost", "no commit at first"} {
		runtest.Bubble(t, name, func(t *testing.T) {
			x, k := newKnowingWorld()
			x.o.CommitInterval = time.Hour
			x.service.answer = func(n int, body string) (uint16, error) {
				if n > 1 && !strings.Contains(x.metadata(tp), knowledge) {
					t.Errorf("%s is sent, and the metadata are %q", body, x.metadata(tp))
				}
				if n == 1 && name == "no commit at first" {
					x.group.failCommits(errors.New("nobody there"))
					time.AfterFunc(10*time.Second, func() { x.group.failCommits(nil) })
				}
				if body == "c" && name == "lost" {
					return 0, lostResponse()
				}
				return 201, nil
			}
			switch name {
			case "lost":
				k.checkResult = func(uint16) wit.RowResult {
					return wit.RowResult{Rejected: &wit.Error{Kind: wit.ErrorConflict, Message: "it numbers"}}
				}
				x.mustFail(t, `offset 2, key "c"`)
			default:
				runUntilKilled(t, x, 3)
			}
			runs := 1
			if name == "killed twice" {
				runs = 2
			}
			for range runs {
				x.service.answer = byBody(map[string]uint16{"look a": 503, "look b": 503, "look c": 503})
				x.o.InDoubt = nil
				x.o.Revoked = nil
				k.hints = nil
				k.checkResult = nil
				_, err := x.run(t)
				assert.True(t, err != nil, "expected the record to be named")
				if len(k.hints) == 0 || slices.ContainsFunc(k.hints, func(h string) bool {
					return !strings.HasSuffix(h, ":uncertain "+knowledge)
				}) {
					t.Errorf("expected checks with the learned context, found %q", k.hints)
				}
				if text := x.metadata(tp); !strings.Contains(text, knowledge) {
					t.Errorf("expected metadata with the learned context, found %q", text)
				}
			}
			posts := slices.DeleteFunc(x.service.bodies(), func(body string) bool {
				return strings.HasPrefix(body, "look ")
			})
			assert.Equal(t, []string{"a", "b", "c"}, posts, "inserts")
		})
	}
}

// A check that finds its row locked, which is not transient, is repeated for as long as errors.retry.timeout specifies.
func TestCheckThatFindsLockWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const lockedChecks = 12
		checks := 0
		x := newCheckedWorld(&checker{checkResult: func(uint16) wit.RowResult {
			checks++
			if checks <= lockedChecks {
				return wit.RowResult{Retry: &wit.Retry{Error: &wit.Error{Kind: wit.ErrorConflict, Message: "locked"}}}
			}
			return wit.RowResult{Written: wit.Set}
		}})
		x.o.Retry = task.RetryPolicy{Timeout: -1}
		x.service.answer = byBody(map[string]uint16{"b": 0})
		x.mustRun(t)
		assert.Equal(t, lockedChecks+1, checks, "checks")
		assert.Equal(t, 3, x.committed("orders", 3), "committed")
	})
}

// A row whose checks used up their attempts, and which was not written, has all attempts when it is locked then.
func TestFailedChecksUseUpNoAttemptsOfALock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newCheckedWorld(&checker{})
		deadLetters := &deadLetterLog{}
		x.o.TolerateAll = true
		x.o.DeadLetters = deadLetters
		statuses := map[string][]uint16{"b": {0, 412, 412, 412, 201}, "look b": {503, 503, 503, 404}}
		x.service.answer = func(_ int, body string) (uint16, error) {
			if len(statuses[body]) == 0 {
				return 201, nil
			}
			status := statuses[body][0]
			statuses[body] = statuses[body][1:]
			if status == 0 {
				return 0, lostResponse()
			}
			return status, nil
		}
		x.mustRun(t)
		assert.Equal(t, 0, len(deadLetters.lines), "dead letters")
		assert.Equal(t, 3, x.committed("orders", 3), "committed")
	})
}
