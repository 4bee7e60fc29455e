package connect

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/internal/base/assert"
	"github.com/culvert-project/culvert/host/internal/base/require"
	core "github.com/culvert-project/culvert/host/internal/run/task"
	"github.com/culvert-project/culvert/host/transport"
	"github.com/culvert-project/culvert/host/transport/limits"
	"github.com/culvert-project/culvert/wit"
)

// A task that runs is told apart by what its client waits for, and by what has come.
func TestWhatATaskDoes(t *testing.T) {
	t.Parallel()
	began := time.Now().Add(-time.Hour)
	always, err := limits.ParseWindows("0 0 0 * * ?/25h UTC")
	require.NoError(t, err)
	rows := core.Flow{Since: time.Now().Add(-30 * time.Second), Latest: time.Now()}
	for name, c := range map[string]struct {
		limits  limits.Limits
		answer  http.HandlerFunc // nil: there is none
		asks    int
		now     Progress
		want    Part
		because string
	}{
		"runs":       {want: Part{Word: "running", Since: began}},
		"rows come":  {now: Progress{Flow: rows}, want: Part{Word: "running", Since: rows.Since}},
		"caught up":  {now: Progress{CaughtUp: true}, want: Part{Word: "idle", Since: began}},
		"after rows": {now: Progress{CaughtUp: true, Flow: rows}, want: Part{Word: "idle", Since: rows.Latest}},
		"a window":   {limits: limits.Limits{Windows: always}, want: Part{Word: "maintenance"}},
		"no answer":  {asks: 1, want: Part{Word: waitsForService, Kind: "transient"}, because: "does not answer"},
		"of a rate": {asks: 2, limits: limits.Limits{PerSecond: 0.001}, answer: atOnce,
			want: Part{Word: "throttled"}, because: "no more than 0.001"},
		"Retry-After": {asks: 1, answer: later, want: Part{Word: "throttled"}, because: "(Retry-After)"},
		"all the same": {asks: 1, now: Progress{CaughtUp: true}, answer: later,
			want: Part{Word: "throttled"}, because: "Retry-After"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(c.answer)
			if c.answer == nil {
				server.Close()
			}
			defer server.Close()
			at, _ := url.Parse(server.URL)
			port, _ := strconv.Atoi(at.Port())
			client, err := transport.New(transport.Config{Scheme: "http", Address: at.Hostname(), Port: port,
				Limits: c.limits, Destinations: transport.NewDestinations()})
			require.NoError(t, err)
			defer client.Close()
			ctx, end := context.WithCancel(t.Context())
			defer end()
			for range c.asks {
				go client.Exchange(ctx, &wit.Request{Method: "GET", Target: "/", Repeatable: true})
			}
			p := Part{}
			require.Until(t, func() bool {
				p = Part{Word: "running", Since: began}
				p.works(client, &c.now)
				return p.Word == c.want.Word && strings.Contains(p.Cause, c.because)
			}, func() string { return fmt.Sprintf("%+v because of %q, found %+v", c.want, c.because, p) })
			assert.Equal(t, c.want.Kind, p.Kind)
			if !c.want.Since.IsZero() {
				assert.Equal(t, c.want.Since, p.Since)
			}
			assert.Equal(t, c.want.Word == "maintenance", !p.Next.IsZero())
		})
	}
}

func atOnce(http.ResponseWriter, *http.Request) {}

func later(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Retry-After", "100")
	w.WriteHeader(http.StatusServiceUnavailable)
}

func TestWhyAPartHasFailed(t *testing.T) {
	t.Parallel()
	strike := func(text string) string { return strings.ReplaceAll(text, "geheim", "[hidden]") }
	next := time.Now()
	for _, c := range []struct {
		fault error
		next  time.Time
		want  Part
	}{
		{errors.New("broken geheim\nat x"), time.Time{}, Part{Word: "failed", Cause: "broken [hidden]"}},
		{&wit.Fault{Kind: wit.FaultUnauthorized, Message: "no"}, time.Time{},
			Part{Word: "failed", Cause: "no", Kind: "unauthorized"}},
		{&wit.Fault{Kind: wit.FaultTransient, Message: "away"}, time.Time{}, Part{Word: "failed", Cause: "away",
			Kind: "transient"}},
		{fmt.Errorf("feed: %w", &wit.Fault{Kind: wit.FaultTransient, Message: "away"}), next,
			Part{Word: waitsForService, Cause: "feed: away", Kind: "transient", Next: next}},
		{config.Problems{{Text: "x"}}, time.Time{}, Part{Word: "failed", Cause: config.Problems{{Text: "x"}}.Error(),
			Kind: "config"}},
	} {
		var p Part
		p.fails(c.fault, c.next, strike)
		c.want.State = Failed
		assert.Equal(t, c.want, p)
	}
	var p Part
	p.fails(errors.New(strings.Repeat("x", 1000)), next, strike)
	assert.Equal(t, true, len([]rune(p.Cause)) <= 300, "bounded")
}
