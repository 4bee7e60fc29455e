package source

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/culvert-project/culvert/host/internal/base/assert"
	"github.com/culvert-project/culvert/host/internal/base/require"
	"github.com/culvert-project/culvert/host/internal/run/runtest"
)

// A request that acknowledges is not sent while the worker may be none of its group's any more: the offset before it is
// stored when that is asked, and the request goes out when the group has confirmed the worker, or never.
func TestLease(t *testing.T) {
	for name, c := range map[string]struct {
		acks  bool
		away  time.Duration // how long the worker is none
		fails string
	}{
		"nothing is acknowledged": {false, time.Hour, ""},
		"the worker is a member":  {true, 0, ""},
		"it is one again":         {true, 2500 * time.Millisecond, ""},
		"it is none":              {true, time.Hour, "tried 4 times: feed feed0"},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(&reader{exact: true, acks: c.acks}, rows("a", 3), rows("b", 3))
			began, asked := time.Now(), 0
			w.o.Lease = func(ctx context.Context) error {
				if ctx.Err() == nil {
					asked++
				}
				if len(w.broker.pending) > 0 {
					t.Errorf("%s: expected that offsets are stored before, found %v", name, w.broker.pending)
				}
				if time.Since(began) < c.away {
					return errors.New("no coordinator")
				}
				return nil
			}
			err := NewTask(w.o).Run(t.Context())
			sent := slices.DeleteFunc(slices.Clone(w.service.requests), func(r string) bool { return r == "/open" })
			switch {
			case name == "it is none":
				if err == nil || !strings.Contains(err.Error(), "no coordinator") ||
					!strings.Contains(err.Error(), "GET /page/0 is not sent") || len(sent) > 0 || asked != 4 {
					t.Errorf("%s: asked %d times, sent %v: %v", name, asked, sent, err)
				}
				return
			case c.acks && c.away > 0:
				assert.Equal(t, 5, asked, name) // three times for the first page
			case c.acks:
				assert.Equal(t, 2, asked, name)
			default:
				assert.Equal(t, 0, asked, name)
			}
			require.NoError(t, err)
			assert.Equal(t, []string{"/page/0", "/page/1"}, sent, name)
		})
	}
}

// What was confirmed may be over when the request has waited for its turn: then it is asked once more, and a stop of
// the task is not held up by a group that does not answer.
func TestLeaseThatEndsMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(&reader{acks: true}, rows("a", 3))
		asked, looked := 0, 0
		w.o.Once = false
		w.o.Lease = func(ctx context.Context) error {
			if ctx.Err() != nil {
				looked++
				return errors.New("it was too long ago")
			}
			if asked++; asked == 3 {
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}
		stop := runtest.Start(t, NewTask(w.o).Run)
		time.Sleep(time.Second) // of the bubble
		require.NoError(t, stop())
		assert.Equal(t, []string{"/open"}, w.service.requests)
		assert.Equal(t, []int{3, 2}, []int{asked, looked})
	})
}
