package connect

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/config"
	core "github.com/culvert-project/culvert/internal/run/task"
	"github.com/culvert-project/culvert/internal/transport"
	"github.com/culvert-project/culvert/internal/transport/limits"
	"github.com/culvert-project/culvert/wit"
)

// The condition of a running task depends on its client and its last rows.
func TestTaskConditions(t *testing.T) {
	t.Parallel()
	began := time.Now().Add(-time.Hour)
	always, err := limits.ParseWindows("0 0 0 * * ?/25h UTC")
	require.NoError(t, err)
	rows := core.Flow{ActiveSince: time.Now().Add(-30 * time.Second), LastActive: time.Now()}
	for name, test := range map[string]struct {
		limits  limits.Limits
		answer  http.HandlerFunc // nil means none
		asks    int
		now     Progress
		want    ComponentStatus
		because string
	}{
		"runs": {want: ComponentStatus{Condition: "running", Since: began}},
		"rows come": {now: Progress{InternalProgress: InternalProgress{Flow: rows}},
			want: ComponentStatus{Condition: "running", Since: rows.ActiveSince}},
		"caught up": {now: Progress{CaughtUp: true}, want: ComponentStatus{Condition: "idle", Since: began}},
		"after rows": {now: Progress{CaughtUp: true, InternalProgress: InternalProgress{Flow: rows}},
			want: ComponentStatus{Condition: "idle",
				Since: rows.LastActive}},
		"a window": {limits: limits.Limits{Windows: always}, want: ComponentStatus{Condition: "maintenance"}},
		"no answer": {asks: 1, want: ComponentStatus{Condition: waitingForService, Kind: "transient"},
			because: "does not answer"},
		"of a rate": {asks: 2, limits: limits.Limits{PerSecond: 0.001}, answer: atOnce,
			want: ComponentStatus{Condition: "throttled"}, because: "limit of 0.001 requests per second"},
		"Retry-After": {asks: 1, answer: later, want: ComponentStatus{Condition: "throttled"},
			because: "(Retry-After)"},
		"all the same": {asks: 1, now: Progress{CaughtUp: true}, answer: later,
			want: ComponentStatus{Condition: "throttled"}, because: "Retry-After"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(test.answer)
			if test.answer == nil {
				server.Close()
			}
			defer server.Close()
			at, _ := url.Parse(server.URL)
			port, _ := strconv.Atoi(at.Port())
			client, err := transport.New(transport.Config{
				Service: transport.Service{Scheme: "http", Address: at.Hostname(), Port: port},
				Limits:  test.limits,
				Shared:  transport.Shared{Destinations: transport.NewOriginRegistry()},
			})
			require.NoError(t, err)
			defer client.Close()
			ctx, end := context.WithCancel(t.Context())
			defer end()
			for range test.asks {
				go client.Exchange(ctx, &wit.Request{Method: "GET", Target: "/", Repeatable: true})
			}
			component := ComponentStatus{}
			require.Until(t, func() bool {
				component = ComponentStatus{Condition: "running", Since: began}
				component.setWorking(client, &test.now)
				return component.Condition == test.want.Condition && strings.Contains(component.Cause, test.because)
			}, func() string { return fmt.Sprintf("%+v because of %q, found %+v", test.want, test.because, component) })
			assert.Equal(t, test.want.Kind, component.Kind)
			if !test.want.Since.IsZero() {
				assert.Equal(t, test.want.Since, component.Since)
			}
			assert.Equal(t, test.want.Condition == "maintenance", !component.RestartsAt.IsZero())
		})
	}
}

func atOnce(http.ResponseWriter, *http.Request) {}

func later(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Retry-After", "100")
	w.WriteHeader(http.StatusServiceUnavailable)
}

func TestFailureKinds(t *testing.T) {
	t.Parallel()
	redact := func(text string) string { return strings.ReplaceAll(text, "geheim", "[hidden]") }
	next := time.Now()
	for _, test := range []struct {
		fault error
		next  time.Time
		want  ComponentStatus
	}{
		{errors.New("broken geheim\nat x"), time.Time{}, ComponentStatus{Condition: "failed",
			Cause: "broken [hidden]"}},
		{&wit.Error{Kind: wit.ErrorUnauthorized, Message: "no"}, time.Time{},
			ComponentStatus{Condition: "failed", Cause: "no", Kind: "unauthorized"}},
		{&wit.Error{Kind: wit.ErrorTransient, Message: "away"}, time.Time{},
			ComponentStatus{Condition: "failed", Cause: "away",
				Kind: "transient"}},
		{fmt.Errorf("feed: %w", &wit.Error{Kind: wit.ErrorTransient, Message: "away"}), next,
			ComponentStatus{Condition: waitingForService, Cause: "feed: away", Kind: "transient", RestartsAt: next}},
		{fmt.Errorf("topic t: %w", kgo.ErrRecordTimeout), next,
			ComponentStatus{Condition: waitingForKafka, Cause: "topic t: " + kgo.ErrRecordTimeout.Error(),
				RestartsAt: next}},
		{fmt.Errorf("topic t: %w", kerr.NotLeaderForPartition), next,
			ComponentStatus{Condition: waitingForKafka, Cause: "topic t: " + kerr.NotLeaderForPartition.Error(),
				RestartsAt: next}},
		{&net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}, next,
			ComponentStatus{Condition: waitingForKafka, Cause: "dial: i/o timeout", RestartsAt: next}},
		{config.Problems{{Text: "x"}}, time.Time{}, ComponentStatus{Condition: "failed",
			Cause: config.Problems{{Text: "x"}}.Error(),
			Kind:  "config"}},
	} {
		var component ComponentStatus
		component.setFailed(test.fault, test.next, redact)
		test.want.State = Failed
		assert.Equal(t, test.want, component)
	}
	var component ComponentStatus
	component.setFailed(errors.New(strings.Repeat("x", 1000)), next, redact)
	assert.Equal(t, true, len([]rune(component.Cause)) <= 300, "bounded")
}
