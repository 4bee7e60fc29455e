package rest

import (
	"context"
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
		req.replayResult(done, true))
	assert.Equal(t, ReplayResult{Replayed: 130, Refused: 110, Skipped: map[string]int{"of topic *": 3}},
		req.replayResult(done, false))
}

// deadLetterWorker has a dead letter of another program.
type deadLetterWorker struct {
	logger
	more string // appended to its message
}

func (l *deadLetterWorker) worker() Worker { return l.as(l) }

func (l *deadLetterWorker) ReadDeadLetters(_ context.Context, _ string, _ int64,
	each func(*connect.DeadLetter) error) (string,
	error) {
	return "dlq", each(&connect.DeadLetter{Record: &kgo.Record{},
		DeadLetterOrigin: connect.DeadLetterOrigin{Request: "GET /geheim"},
		DeadLetterCause:  connect.DeadLetterCause{Message: "no geheim" + l.more}})
}

func (*deadLetterWorker) ReplayConnector(context.Context, string, connect.ReplayRequest) (connect.ReplayResult, error) {
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

// No dead letter contains a secret, whichever program has written it.
func TestDeadLettersAreRedacted(t *testing.T) {
	w := sent(&deadLetterWorker{}, "GET", "/culvert/connectors/a/deadletters", "")
	assert.Equal(t, http.StatusOK, w.Code)
	assert.Contains(t, w.Body.String(), `"message":"no *"`, `"request":"GET /*"`)
	if strings.Contains(w.Body.String(), "geheim") {
		t.Errorf("found %s", w.Body)
	}
	w = sent(&deadLetterWorker{more: strings.Repeat("ü", 1<<20)}, "GET", "/culvert/connectors/a/deadletters", "")
	assert.Contains(t, w.Body.String(), `ü... (2080772 bytes more)"`)
}
