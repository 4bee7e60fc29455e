package rest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/check"
)

// checks counts concurrent validations and blocks them until goOn is closed.
type checks struct {
	*standIn
	begun atomic.Int32
	most  atomic.Int32
	now   atomic.Int32
	goOn  chan struct{}
}

func (c *checks) wait() {
	c.begun.Add(1)
	if n := c.now.Add(1); n > c.most.Load() {
		c.most.Store(n)
	}
	<-c.goOn
	c.now.Add(-1)
}

func (c *checks) worker() Worker {
	w := c.with(c)
	w.Validate = func(context.Context, string, map[string]string, bool) (*check.Validation, error) {
		c.wait()
		return &check.Validation{}, nil
	}
	w.Peek = func(context.Context, map[string]string, ToolRequest) (ToolAnswer, error) {
		c.wait()
		return ToolAnswer{}, nil
	}
	w.Compare = func(context.Context, string, ConfigRequest, bool) (Comparison, error) {
		c.wait()
		return Comparison{}, nil
	}
	return w
}

// The number of concurrent validations is bounded. Others wait, and a request whose client has disconnected is not
// validated.
func TestConcurrentValidationsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &checks{standIn: &standIn{}, goOn: make(chan struct{})}
		h := Handler(c.worker())
		left, leave := context.WithCancel(t.Context())
		answered := atomic.Int32{}
		ask := func(ctx context.Context, method, path, body string) {
			r := httptest.NewRequestWithContext(ctx, method, path, strings.NewReader(body))
			r.Header.Set("Content-Type", "application/json")
			r.TLS = &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{}}} // who may see rows
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code == http.StatusOK {
				answered.Add(1)
			}
		}
		for range 5 {
			go ask(t.Context(), "PUT", "/connector-plugins/a/config/validate", "{}")
			go ask(t.Context(), "POST", "/culvert/diff", `{"name": "a", "config": {}}`)
			go ask(t.Context(), "POST", "/culvert/peek", `{"config": {}}`)
		}
		synctest.Wait()
		for range 10 {
			go ask(left, "PUT", "/connector-plugins/a/config/validate", "{}")
		}
		synctest.Wait()
		leave()
		synctest.Wait()
		assert.Equal(t, maxValidations, int(c.begun.Load()), "validations that have started before one has ended")
		close(c.goOn)
		synctest.Wait()
		assert.Equal(t, [3]int32{15, 15, maxValidations}, [3]int32{c.begun.Load(), answered.Load(), c.most.Load()},
			"started validations, successful responses, and the most at a time")
	})
}
