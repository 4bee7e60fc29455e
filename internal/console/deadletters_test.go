package console

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/rest"
)

// A form without selected dead letters replays none. REST would replay all of the connector's.
func TestReplayRequiresSelection(t *testing.T) {
	f := newFake()
	served(t, over(f), "POST", "/console/act", url.Values{"do": {"replay"}, "name": {"orders"}, "back": {"letters"}})
	if !strings.Contains(f.bodies[0], `"letters":[]`) {
		t.Errorf("found %s with %s", f.log(), f.bodies[0])
	}
}

// The result of a dry run names the dead letters that would be rejected, and why.
func TestDryRunListsRejections(t *testing.T) {
	f := newFake()
	_, target := rest.Target("POST /culvert/connectors/{name}/deadletters/replay", "orders")
	f.answers["POST "+target] = rest.ReplayResult{DryRun: true, WouldPass: 1, Refused: 1,
		Refusals: []connect.Rejection{{Position: "0@7", Reason: "no such order"}}, Skipped: map[string]int{"older": 2}}
	w := served(t, over(f), "POST", "/console/act", url.Values{"do": {"replay"}, "dry": {"1"}, "name": {"orders"},
		"letter": {"0@7"}, "back": {"letters"}})
	for _, want := range []string{"Nothing was sent: 1 would pass", "0@7: no such order", "2 skipped: older"} {
		assert.Contains(t, w.Body.String(), want)
	}
}

// Each dead letter is listed below its cause. With as many causes as dead letters the page takes linear time.
func TestDeadLettersByCause(t *testing.T) {
	f, found := newFake(), rest.DeadLetterList{}
	for n := range 20_000 {
		l := rest.DeadLetter{Offset: int64(n), Class: "C", Stage: "TASK_PUT", Message: fmt.Sprint("no order ", n/2)}
		found.DeadLetters = append(found.DeadLetters, l)
		if n%2 == 0 {
			found.Causes = append(found.Causes, l.Cause())
		}
	}
	_, target := rest.Target("GET /culvert/connectors/{name}/deadletters", "orders")
	f.answers["GET "+target] = found
	began := time.Now()
	v := &pageRequest{client: client{f, httptest.NewRequest("GET", "/console/letters", nil)},
		query: pairs("name", "orders")}
	page, err := v.deadLetters()
	assert.NoError(t, err)
	for n, c := range found.Causes {
		c.Count, c.First = 2, "2026-11-24T12:00:00Z"
		of := page.(deadLettersPage).WithCause(c)
		if len(of) != 2 || of[0].Offset != int64(2*n) || of[1].Offset != int64(2*n+1) {
			t.Fatalf("cause %d: found %v", n, of)
		}
	}
	if elapsed := time.Since(began); elapsed > 5*time.Second {
		t.Errorf("expected less than 5 s, found %v", elapsed)
	}
}

// An invalid number of rows is an error, and does not mean the default.
func TestInvalidNumberOfRows(t *testing.T) {
	for rows, want := range map[string]int{"x": 400, "": 400, "20 ": 400, "5": 303} {
		f := newFake()
		f.answers["POST /culvert/connectors/orders/samples"] = json.RawMessage(`{"id":"s1"}`)
		w := served(t, over(f), "POST", "/console/records", url.Values{"step": {"sample"}, "name": {"orders"},
			"rows": {rows}})
		if w.Code != want || strings.Contains(f.log(), "POST") != (want == 303) {
			t.Errorf("%q: found status %d, calls %s", rows, w.Code, f.log())
		}
	}
}

// An emptied text is compared as an empty text.
func TestReviewOfEmptyText(t *testing.T) {
	f := newFake()
	served(t, over(f), "POST", "/console/form", url.Values{"step": {"review"}, "name": {"x"}, "text": {""}})
	if !strings.HasPrefix(f.calls[0], "POST /culvert/diff") || f.bodies[0] != `{"name":"x","text":""}` {
		t.Errorf("found %s with %s", f.calls[0], f.bodies[0])
	}
}

// The page shows for each dead letter whether it was replayed.
func TestDeadLettersShowReplayState(t *testing.T) {
	f := newFake()
	f.answers["GET /culvert/connectors/orders/deadletters"] = json.RawMessage(`{"topic":"dlq","letters":[
		{"offset":1,"replayed":false},{"offset":2,"replayed":true},{"offset":3}],"causes":[{"count":3}]}`)
	page := served(t, over(f), "GET", "/console/letters?name=orders", nil).Body.String()
	for _, want := range []string{"<td>no</td>", "<td>yes</td>", "<td>–</td></tr>"} {
		if strings.Count(page, want) != 1 {
			t.Errorf("expected one %s\n%s", want, page)
		}
	}
}
