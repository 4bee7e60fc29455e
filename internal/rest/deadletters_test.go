package rest

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/connect"
)

// Dead letters are counted by class, stage, and the first line of the message, without changes.
func TestDeadLetterCauses(t *testing.T) {
	long := strings.Repeat("x", 300)
	assert.Equal(t, []DeadLetterCause{}, groupByCause(nil))
	assert.Equal(t, []DeadLetterCause{
		{"E", "encode", "value 1", 2, "2026-01-01T00:00:00Z", "2026-03-01T00:00:00Z"},
		{"E", "encode", "value 2", 1, "2026-02-01T00:00:00Z", "2026-02-01T00:00:00Z"},
		{"E", "write", "\ufffdvalue 1", 1, "2026-02-01T00:00:00Z", "2026-02-01T00:00:00Z"},
		{"F", "write", long[:200] + "... (100 bytes more)", 1, "2026-02-01T00:00:00Z", "2026-02-01T00:00:00Z"},
	}, groupByCause([]DeadLetter{
		{Class: "E", Stage: "encode", Message: "value 2", Failed: "2026-02-01T00:00:00Z"},
		{Class: "E", Stage: "encode", Message: "value 1\nand more", Failed: "2026-03-01T00:00:00Z"},
		{Class: "E", Stage: "write", Message: "\x1bvalue 1", Failed: "2026-02-01T00:00:00Z"},
		{Class: "E", Stage: "encode", Message: "value 1", Failed: "2026-01-01T00:00:00Z"},
		{Class: "F", Stage: "write", Message: long, Failed: "2026-02-01T00:00:00Z"},
	}))
}

// The result of a dry run reports how many dead letters would pass. Rejections are redacted, and unlisted ones are
// counted.
func TestResultOfDryReplay(t *testing.T) {
	worker, _ := newLogger("a:1")
	req := &request{common: common{worker: worker.worker()}}
	done := connect.ReplayResult{Replayed: 130, Rejected: 110, Skipped: map[string]int{"of topic geheim": 3},
		Rejections: []connect.Rejection{{Position: "0@1", Reason: "no geheim\nand more"}}}
	assert.Equal(t, ReplayResult{Refused: 110, DryRun: true, WouldPass: 20, Skipped: map[string]int{"of topic *": 3,
		"that would be refused, but are not listed": 109}, Refusals: []connect.Rejection{{Position: "0@1",
		Reason: "no * and more"}}},
		req.replayResult(done, true, ""))
	assert.Equal(t, ReplayResult{Replayed: 130, Refused: 110, Skipped: map[string]int{"of topic *": 3}},
		req.replayResult(done, false, ""))
}

// deadLetterWorker has a dead letter of another program.
type deadLetterWorker struct {
	logger
	more    string // appended to its message
	rejects bool   // a dry replay rejects one
}

func (l *deadLetterWorker) worker() Worker { return l.as(l) }

func (l *deadLetterWorker) ReadDeadLetters(_ context.Context, _ string, _ int64,
	each func(*connect.DeadLetter) error) (string,
	error) {
	return "dlq", each(&connect.DeadLetter{Record: &kgo.Record{},
		DeadLetterOrigin: connect.DeadLetterOrigin{Request: "GET /geheim/Orders(1)"},
		DeadLetterCause:  connect.DeadLetterCause{Class: "Exception", Message: "no geheim, order 4711" + l.more}})
}

func (l *deadLetterWorker) ReplayConnector(context.Context, string, connect.ReplayRequest) (connect.ReplayResult,
	error) {
	if l.rejects {
		return connect.ReplayResult{Replayed: 1, Rejected: 1,
			Rejections: []connect.Rejection{{Position: "0@1", Reason: "no order 4711"}}}, nil
	}
	return connect.ReplayResult{}, nil
}

// A dry run in which nothing passes says so.
func TestDryReplayWithoutPassingRows(t *testing.T) {
	for body, want := range map[string]string{`{"dry":true}`: `{"replayed":0,"refused":0,"left":{},"dry":true,"passes":0}`,
		`{}`: `{"replayed":0,"refused":0,"left":{}}`} {
		assert.Equal(t, want, sent(&deadLetterWorker{}, "POST", "/culvert/connectors/a/deadletters/replay", body,
			"Content-Type",
			"application/json").Body.String())
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
			s := opened(t, c.options, slog.New(slog.DiscardHandler), &deadLetterWorker{rejects: true})
			_, port, _ := net.SplitHostPort(s.Addresses()[0])
			ask := func(method, path, body string) (int, string) {
				r := requestOf(t, method, "http://127.0.0.1:"+port+"/culvert/connectors/a/deadletters"+path, body,
					"Content-Type", "application/json", "Authorization", "Basic YW5uYTpnZWhlaW0=")
				if c.header != "" {
					r.Header.Set(c.header, "true")
				}
				if c.host != "" {
					r.Host = c.host
				}
				a, answer := exchanged(t, http.DefaultClient, r)
				return a.StatusCode, answer
			}
			isShown := c.hidden == ""
			for _, query := range []string{"", "?error=order", "?error=Exc"} {
				status, answer := ask("GET", query, "")
				wantLetter := isShown || query != "?error=order"
				quotes := strings.Contains(answer, "order 4711") || strings.Contains(answer, "/Orders(")
				if status != http.StatusOK || quotes != isShown ||
					strings.Contains(answer, `"class":"Exception"`) != wantLetter ||
					(wantLetter && !strings.Contains(answer, c.hidden)) {
					t.Errorf("%q: found %d %s", query, status, answer)
				}
			}
			wantStatus := http.StatusOK
			if !isShown {
				wantStatus = http.StatusForbidden
			}
			status, answer := ask("POST", "/replay", `{"dry":true,"again":true,"error":"no order 4"}`)
			if status != wantStatus || (c.host == "" && !strings.Contains(answer, c.hidden)) {
				t.Errorf("selected by message: expected %d, found %d %s", wantStatus, status, answer)
			}
			status, answer = ask("POST", "/replay", `{"dry":true}`)
			if c.host != "" {
				assert.Equal(t, http.StatusForbidden, status)
				return
			}
			if status != http.StatusOK || strings.Contains(answer, "order 4711") != isShown ||
				!strings.Contains(answer, c.hidden) {
				t.Errorf("dry replay: found %d %s", status, answer)
			}
		})
	}
}

// No dead letter contains a secret, whichever program has written it.
func TestDeadLettersAreRedacted(t *testing.T) {
	for more, want := range map[string][]string{
		"":                         {`"message":"no *, order 4711"`, `"request":"GET /*/Orders(1)"`},
		strings.Repeat("ü", 1<<20): {`ü... (2080784 bytes more)"`},
	} {
		s := opened(t, Options{}, slog.New(slog.DiscardHandler), &deadLetterWorker{more: more})
		a, answer := exchanged(t, http.DefaultClient, requestOf(t, "GET",
			"http://"+s.Addresses()[0]+"/culvert/connectors/a/deadletters", ""))
		assert.Equal(t, http.StatusOK, a.StatusCode)
		assert.Contains(t, answer, want...)
		if strings.Contains(answer, "geheim") {
			t.Errorf("found %s", answer)
		}
	}
}
