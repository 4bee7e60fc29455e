package rest

import (
	"bytes"
	"cmp"
	"context"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/deadletters"
	"github.com/culvert-project/culvert/wit"
)

// The result of a dry run reports how many dead letters would pass. Rejections are redacted. Those beyond the listed
// ones count as refused, and not as kept too.
func TestResultOfDryReplay(t *testing.T) {
	worker, _ := newLogger("a:1")
	const isDryRun = true
	redact := worker.worker().Redact
	outcome := deadletters.Result{Sent: 130, Delivered: 20, Rejected: 110, Kept: map[string]int{"of topic geheim": 3},
		Rejections: []deadletters.Rejection{{Position: "0@1", Reason: "no geheim\nand more"}}}
	assert.Equal(t, ReplayResult{Refused: 110, DryRun: true, WouldPass: 20, Kept: map[string]int{"of topic *": 3},
		Refusals: []deadletters.Rejection{{Position: "0@1", Reason: "no * and more"}}},
		NewReplayResult(outcome, isDryRun, redact))
	outcome.Letter = "0@9"
	assert.Equal(t, ReplayResult{Sent: 130, Delivered: 20, Refused: 110, Kept: map[string]int{"of topic *": 3},
		Refusals: []deadletters.Rejection{{Position: "0@1", Reason: "no * and more"}}, Letter: "0@9"},
		NewReplayResult(outcome, !isDryRun, redact))
}

// deadLetterWorker has a dead letter of another program.
type deadLetterWorker struct {
	logger
	more    string // appended to its message
	value   string // appended to its value
	query   deadletters.Query
	replay  deadletters.Request
	discard deadletters.Filter
	rejects bool // a dry replay rejects one
}

func (l *deadLetterWorker) worker() Worker { return l.as(l) }

func (l *deadLetterWorker) ListDeadLetters(_ context.Context, _ string, query deadletters.Query,
	each func(deadletters.ListedLetter) error) (deadletters.Page, error) {
	l.query = query
	r := &kgo.Record{Key: []byte("k"), Value: []byte("{\"order\":4711,\"by\":\"\u202e<b>\"}" + l.value),
		Headers: []kgo.RecordHeader{{Key: "h", Value: []byte("order 4711 of geheim" + l.more)}}}
	summary := deadletters.Summary{Causes: []deadletters.CauseCount{{ID: "0a", Text: "no order of geheim", Count: 3}}}
	return deadletters.Page{Topic: "dlq", Next: "1-0@0", Summary: summary},
		each(deadletters.ListedLetter{Attempts: 2, Settled: new(bool), Index: 1, Letter: &deadletters.Letter{Record: r,
			Origin: deadletters.Origin{Request: "GET /geheim/Orders(1)"},
			Cause:  deadletters.Cause{Class: "Exception", Message: "no geheim, order 4711" + l.more}}})
}

func (l *deadLetterWorker) DiscardDeadLetters(_ context.Context, _ string,
	f deadletters.Filter) (deadletters.Result, error) {
	l.discard = f
	if f.Positions[deadletters.Position{Offset: 9}] {
		return deadletters.Result{}, deadletters.ErrTooManyRanges
	}
	return deadletters.Result{Discarded: len(f.Positions), Kept: map[string]int{"of geheim": 2}}, nil
}

func (l *deadLetterWorker) ReplayConnector(_ context.Context, _ string,
	r deadletters.Request) (deadletters.Result, error) {
	l.replay = r
	if r.Value != nil && *r.Value == "no JSON" {
		return deadletters.Result{}, deadletters.ErrNotJSON
	}
	if l.rejects {
		return deadletters.Result{Sent: 1, Rejected: 1,
			Rejections: []deadletters.Rejection{{Position: "0@1", Reason: "no order 4711"}}}, nil
	}
	return deadletters.Result{}, nil
}

// The result of a dry run in which nothing passes contains "passes":0; other results have no such field.
func TestDryReplayWithoutPassingRows(t *testing.T) {
	for body, want := range map[string]string{
		`{"dry":true}`: `{"sent":0,"delivered":0,"refused":0,"kept":{},"dry":true,"passes":0}`,
		`{}`:           `{"sent":0,"delivered":0,"refused":0,"kept":{}}`,
	} {
		w := serveRequest(&deadLetterWorker{}, "POST", "/culvert/connectors/a/deadletters/replay", body, "Content-Type",
			"application/json")
		assert.Equal(t, want, w.Body.String())
	}
}

// Messages and requests of dead letters quote values of records: they are shown to users who may see values of samples,
// and only these users can search in messages. The same is true of the reasons of a dry replay.
func TestDeadLetterMessagesAreShownByRights(t *testing.T) {
	anywhere := Options{Listeners: []string{"http://:0"}}
	withUsers := Options{Listeners: anywhere.Listeners, Users: usersFile(t)}
	masked := withUsers
	masked.Masked = true
	for name, c := range map[string]struct {
		options Options
		host    string
		header  string
		hidden  string // the reason
	}{
		"this machine":           {},
		"a user":                 {options: withUsers},
		"anybody":                {options: anywhere, hidden: "this listener requires no logon"},
		"masked":                 {options: masked, hidden: "rest.config.masked"},
		"shapes only":            {options: Options{Records: "shape"}, hidden: "console.records=shape"},
		"off":                    {options: Options{Records: "off"}, hidden: "console.records=off"},
		"a page's name":          {options: anywhere, host: "evil.example.com", hidden: "the Host of the request"},
		"forwarded, masked":      {header: maskedHeader, hidden: "this request sees no passwords"},
		"forwarded, shapes only": {header: shapeOnlyHeader, hidden: "the worker that received the request"},
	} {
		t.Run(name, func(t *testing.T) {
			s := startServerFor(t, c.options, slog.New(slog.DiscardHandler), &deadLetterWorker{rejects: true})
			_, port, _ := net.SplitHostPort(s.Addresses()[0])
			send := func(method, path, body string) (int, string) {
				r := newRequest(t, method, "http://127.0.0.1:"+port+"/culvert/connectors/a/deadletters"+path, body,
					"Content-Type", "application/json", "Authorization", "Basic YW5uYTpnZWhlaW0=")
				if c.header != "" {
					r.Header.Set(c.header, "true")
				}
				if c.host != "" {
					r.Host = c.host
				}
				a, answer := exchange(t, http.DefaultClient, r)
				return a.StatusCode, answer
			}
			isShown := c.hidden == ""
			status, answer := send("GET", "", "")
			isQuoted := strings.Contains(answer, "4711") || strings.Contains(answer, "/Orders(") ||
				strings.Contains(answer, `"record"`) || strings.Contains(answer, `"headers"`) ||
				strings.Contains(answer, "no order of")
			assert.True(t, status == http.StatusOK && isQuoted == isShown &&
				strings.Contains(answer, `"class":"Exception"`) && strings.Contains(answer, c.hidden),
				"found %d %s", status, answer)
			wantStatus := http.StatusOK
			if !isShown {
				wantStatus = http.StatusForbidden
			}
			for _, call := range []struct{ method, path, body string }{
				{method: "POST", path: "/replay", body: `{"dry":true,"again":true,"error":"no order 4"}`},
				{method: "POST", path: "/0@1/retry", body: `{"value":"order 4711"}`},
				{method: "GET", path: "?cause=0a"},
				{method: "GET", path: "?error=no"},
				{method: "POST", path: "/discard", body: `{"cause":"0a"}`},
			} {
				status, answer = send(call.method, call.path, call.body)
				assert.True(t, status == wantStatus && (c.host != "" || strings.Contains(answer, c.hidden)),
					"%v: expected %d, found %d %s", call, wantStatus, status, answer)
			}
			if status, answer := send("POST", "/0@1/retry", ""); (status == http.StatusOK) != (c.host == "") {
				t.Errorf("retry without a value: found %d %s", status, answer)
			}
			status, answer = send("POST", "/replay", `{"dry":true}`)
			if c.host != "" {
				assert.Equal(t, http.StatusForbidden, status)
				return
			}
			assert.True(t, status == http.StatusOK && strings.Contains(answer, "order 4711") == isShown &&
				strings.Contains(answer, c.hidden), "dry replay: found %d %s", status, answer)
		})
	}
}

// No dead letter contains a secret, whichever program has written it, and long texts are cut.
func TestDeadLettersAreRedacted(t *testing.T) {
	for more, want := range map[string][]string{
		"": {`"message":"no *, order 4711"`, `"request":"GET /*/Orders(1)"`, `{"key":"h","value":"order 4711 of *"}`,
			`"text":"no order of *"`, `"attempts":2,"settled":false`, `"next":"1-0@0"`,
			"\"record\":{\"key\":\"k\",\"value\":\"{\\\"order\\\":4711,\\\"by\\\":\\\"\u202e<b>\\\"}\",\"size\":28}"},
		strings.Repeat("ü", 1<<20): {`ü... (2093184 bytes more)"`},
		strings.Repeat("x", 1984):  {`x"`}, // 2,000 characters after redaction
		strings.Repeat("x", 1985):  {`x... (1 bytes more)"`},
	} {
		s := startServerFor(t, Options{}, slog.New(slog.DiscardHandler), &deadLetterWorker{more: more})
		a, answer := exchange(t, http.DefaultClient, newRequest(t, "GET",
			"http://"+s.Addresses()[0]+"/culvert/connectors/a/deadletters", ""))
		assert.Equal(t, http.StatusOK, a.StatusCode)
		assert.Contains(t, answer, want...)
		assert.NotContains(t, answer, "geheim")
	}
}

// A record is cut in a list, and shown as a whole up to the size of a request's body if it is selected. Other bytes
// than text are in base64.
func TestRecordsOfDeadLetters(t *testing.T) {
	worker := &deadLetterWorker{}
	w := worker.worker()
	visible := func(value string, maxBytes int) (string, DeadLetterRecord) {
		view := letterView{redact: w.Redact, maxRecord: maxBytes}
		r := view.record(&deadletters.Letter{Record: &kgo.Record{Value: []byte(value)}})
		return *r.Value, *r
	}
	for value, want := range map[string]struct {
		text   string
		base64 bool
		cut    bool
	}{
		"0123456789":  {text: "0123456789"},
		"01234567890": {text: "0123456789", cut: true},
		"012345678ü":  {text: "012345678", cut: true},
		"a geheim":    {text: "a *", cut: true}, // it must not be sent back
		"01234geheim": {text: "01234*", cut: true},
		"\xffgeheim":  {text: "/yo=", base64: true, cut: true},
		"\xff\xfe":    {text: "//4=", base64: true},
		"":            {},
	} {
		text, r := visible(value, 10)
		assert.True(t, text == want.text && r.Base64 == want.base64 && r.Cut == want.cut && r.Size == len(value),
			"%q: expected %+v, found %q %+v", value, want, text, r)
	}
	tombstone := &deadletters.Letter{Record: &kgo.Record{}}
	view := letterView{redact: w.Redact, maxRecord: 10, maxHeaders: 10}
	assert.Equal(t, DeadLetterRecord{}, *view.record(tombstone), "a tombstone")
	for _, maxBytes := range []int{maxListedBytes, maxSelectedBytes} {
		for more, wantCut := range []bool{false, true} {
			_, r := visible(strings.Repeat("x", maxBytes+more), maxBytes)
			assert.Equal(t, wantCut, r.Cut)
		}
	}
	letter := deadletters.ListedLetter{Letter: &deadletters.Letter{Record: &kgo.Record{
		Headers: make([]kgo.RecordHeader, maxShownHeaders+1)}}}
	assert.Equal(t, maxShownHeaders, len(view.letter(letter).Headers))
	worker.value = strings.Repeat("x", 20<<10)
	const letters = "/culvert/connectors/a/deadletters"
	assert.Contains(t, sendOnThisMachine(t, worker, "GET", letters, ""), `"cut":true,"size":20508`)
	assert.Contains(t, sendOnThisMachine(t, worker, "GET", letters+"?letter=0@3", ""), `x","size":20508`)
	assert.Equal(t, deadletters.Query{Show: "all", Only: &deadletters.Position{Offset: 3}}, worker.query)
	text := sendOnThisMachine(t, worker, "GET", letters+"?show=settled&after=1-0@3&superseded=true", "")
	assert.Contains(t, text, `"topic":"dlq"`)
	assert.Equal(t, deadletters.Query{Show: "settled", After: "1-0@3",
		Filter: deadletters.Filter{Superseded: true}}, worker.query)
}

// A list, a replay and a discard select letters by the same filter.
func TestSelectionsOfDeadLetters(t *testing.T) {
	worker := &deadLetterWorker{}
	const letters = "/culvert/connectors/a/deadletters"
	at := time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)
	position := map[deadletters.Position]bool{{Offset: 7}: true}
	for _, test := range []struct {
		body   string
		query  string // the same for a list; "" if a list does not have it
		filter deadletters.Filter
		fails  string // the error; "" means none
	}{
		{body: `{"cause":"0a"}`, query: "cause=0a", filter: deadletters.Filter{Cause: "0a"}},
		{body: `{"error":"no"}`, query: "error=no", filter: deadletters.Filter{Error: "no"}},
		{body: `{"since":"2026-02-03T04:05:06Z"}`, query: "since=2026-02-03T04:05:06Z",
			filter: deadletters.Filter{Since: at}},
		{body: `{"until":"2026-02-03T05:05:06+01:00"}`, query: "until=2026-02-03T05:05:06%2B01:00",
			filter: deadletters.Filter{Until: at}},
		{body: `{"superseded":true}`, query: "superseded=true", filter: deadletters.Filter{Superseded: true}},
		{body: `{"all":true}`},
		{body: `{"letters":["0@7"],"error":"no"}`, filter: deadletters.Filter{Positions: position, Error: "no"}},
		{body: `{"until":"now"}`, query: "until=now", fails: `until: expected a time such as`},
		{body: `{"all":true,"error":"no"}`, fails: "all: expected no other selection"},
		{body: `{"all":true,"letters":[]}`, fails: "all: expected no other selection"},
		{body: `{"superseded":true,"letters":["0@7"]}`, fails: "superseded: expected no letters"},
	} {
		for _, route := range []string{"/replay", "/discard"} {
			worker.replay = deadletters.Request{}
			worker.discard = deadletters.Filter{}
			answer := sendOnThisMachine(t, worker, "POST", letters+route, test.body)
			assert.Contains(t, answer, cmp.Or(test.fails, `"kept"`))
			found := worker.replay.Filter
			if route == "/discard" {
				found = worker.discard
			}
			assertFilter(t, test.filter, found, test.body)
		}
		if test.query != "" {
			worker.query = deadletters.Query{}
			answer := sendOnThisMachine(t, worker, "GET", letters+"?"+test.query, "")
			assert.Contains(t, answer, cmp.Or(test.fails, `"letters"`))
			assertFilter(t, test.filter, worker.query.Filter, test.query)
		}
	}
}

func assertFilter(t *testing.T, want, found deadletters.Filter, name string) {
	t.Helper()
	assert.True(t, want.Since.Equal(found.Since) && want.Until.Equal(found.Until),
		"%s: expected %v and %v, found %v and %v", name, want.Since, want.Until, found.Since, found.Until)
	found.Since = want.Since
	found.Until = want.Until
	assert.Equal(t, want, found, name)
}

// sendOnThisMachine returns the response to a request by a user who sees values of samples.
func sendOnThisMachine(t *testing.T, worker interface{ worker() Worker }, method, path, body string) string {
	t.Helper()
	s := startServerFor(t, Options{}, slog.New(slog.DiscardHandler), worker)
	_, answer := exchange(t, http.DefaultClient, newRequest(t, method, "http://"+s.Addresses()[0]+path, body,
		"Content-Type", "application/json"))
	return answer
}

// A retry sends one letter, with another value or without. A discard needs a list. The bound of stored ranges is 409.
func TestRetryAndDiscard(t *testing.T) {
	worker := &deadLetterWorker{}
	position := map[deadletters.Position]bool{{Partition: 0, Offset: 17}: true}
	for body, want := range map[string]deadletters.Request{
		`{"value":"{\"a\":1}"}`:    {Value: wit.Ptr(`{"a":1}`)},
		`{"value":""}`:             {Value: wit.Ptr("")},
		`{"value":null}`:           {},
		`{"older":true}`:           {IncludeSuperseded: true},
		``:                         {},
		`{"value":"x","dry":true}`: {},
	} {
		worker.replay = deadletters.Request{}
		answer := sendOnThisMachine(t, worker, "POST", "/culvert/connectors/a/deadletters/0@17/retry", body)
		want.Filter.Positions = position
		if strings.Contains(body, "dry") {
			assert.Contains(t, answer, "unknown field")
			want.Filter.Positions = nil
		}
		got := worker.replay
		assert.Equal(t, []any{want.Filter.Positions, want.Value, want.IncludeSuperseded},
			[]any{got.Filter.Positions, got.Value, got.IncludeSuperseded}, body)
	}
	var log bytes.Buffer
	s := startServerFor(t, Options{}, slog.New(slog.NewTextHandler(&log, nil)), worker)
	for body, want := range map[string]string{
		`{"letters":["0@1","0@2"]}`: `{"discarded":2,"kept":{"of *":2}}`,
		`{"letters":[]}`:            `{"discarded":0,"kept":{"of *":2}}`,
		`{}`:                        `"error_code":400`,
		`{"letters":["0-1"]}`:       `"error_code":400`,
		`{"letters":["0@9"]}`:       `{"error_code":409,"message":"settled dead letters with gaps`,
		`{"letters":["` + strings.Repeat(`0@1","`, 1000) + `0@1"]}`: "at most 1000, found 1001",
	} {
		_, answer := exchange(t, http.DefaultClient, newRequest(t, "POST",
			"http://"+s.Addresses()[0]+"/culvert/connectors/a/deadletters/discard", body, "Content-Type",
			"application/json"))
		assert.Contains(t, answer, want)
	}
	assert.Contains(t, log.String(), `level=INFO msg="changed by REST"`, "by=127.0.0.1", "connector=a",
		`discarded=2 selection="{\"letters\":[\"0@1\",\"0@2\"]}"`)
	assert.Contains(t, sendOnThisMachine(t, worker, "POST", "/culvert/connectors/a/deadletters/0@17/retry",
		`{"value":"no JSON"}`), `"error_code":400`)
	assert.Equal(t, 404, serveRequest(worker, "POST", "/culvert/connectors/a/deadletters/x/y/retry", "").Code)
	assert.Equal(t, 400, serveRequest(worker, "POST", "/culvert/connectors/a/deadletters/x/retry", "").Code)
}
