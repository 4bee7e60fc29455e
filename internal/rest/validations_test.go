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

// validationCounter counts concurrent validations and blocks them until unblock is closed.
type validationCounter struct {
	*standIn
	started    atomic.Int32
	maxRunning atomic.Int32
	running    atomic.Int32
	unblock    chan struct{}
}

func (v *validationCounter) wait() {
	v.started.Add(1)
	if n := v.running.Add(1); n > v.maxRunning.Load() {
		v.maxRunning.Store(n)
	}
	<-v.unblock
	v.running.Add(-1)
}

func (v *validationCounter) worker() Worker {
	w := v.with(v)
	w.Validate = func(context.Context, string, map[string]string, bool) (*check.Validation, error) {
		v.wait()
		return &check.Validation{}, nil
	}
	w.Peek = func(context.Context, map[string]string, ToolRequest) (ToolAnswer, error) {
		v.wait()
		return ToolAnswer{}, nil
	}
	w.Compare = func(context.Context, string, ConfigRequest, bool) (Comparison, error) {
		v.wait()
		return Comparison{}, nil
	}
	return w
}

// The number of concurrent validations is bounded. Others wait, and a request whose client has disconnected is not
// validated.
func TestConcurrentValidationsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		counter := &validationCounter{standIn: &standIn{}, unblock: make(chan struct{})}
		handler := Handler(counter.worker())
		disconnected, disconnect := context.WithCancel(t.Context())
		var successes atomic.Int32
		send := func(ctx context.Context, method, path, body string) {
			r := httptest.NewRequestWithContext(ctx, method, path, strings.NewReader(body))
			r.Header.Set("Content-Type", "application/json")
			r.TLS = &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{}}} // such a user may see rows
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			if w.Code == http.StatusOK {
				successes.Add(1)
			}
		}
		for range 5 {
			go send(t.Context(), "PUT", "/connector-plugins/a/config/validate", "{}")
			go send(t.Context(), "POST", "/culvert/diff", `{"name": "a", "config": {}}`)
			go send(t.Context(), "POST", "/culvert/peek", `{"config": {}}`)
		}
		synctest.Wait()
		for range 10 {
			go send(disconnected, "PUT", "/connector-plugins/a/config/validate", "{}")
		}
		synctest.Wait()
		disconnect()
		synctest.Wait()
		assert.Equal(t, maxValidations, int(counter.started.Load()), "validations started before the first one ended")
		close(counter.unblock)
		synctest.Wait()
		assert.Equal(t, 15, int(counter.started.Load()), "started validations")
		assert.Equal(t, 15, int(successes.Load()), "successful responses")
		assert.Equal(t, maxValidations, int(counter.maxRunning.Load()), "concurrent validations")
	})
}

// A validation has the fields that Kafka Connect does not have only on request.
func TestFieldsOfValidationsOnRequest(t *testing.T) {
	herder := &standIn{}
	worker := herder.with(herder)
	worker.Validate = func(context.Context, string, map[string]string, bool) (*check.Validation, error) {
		value := check.Value{Name: "a", AllowedValues: []string{"x"}}
		return &check.Validation{Logon: check.LogonAccepted, User: "me", Configs: []check.Validated{{Value: value}}}, nil
	}
	for query, want := range map[string]struct{ logon, allowed bool }{
		"":                          {},
		"?allowed=false":            {},
		"?allowed=true":             {allowed: true},
		"?logon=check":              {logon: true},
		"?allowed=true&logon=check": {logon: true, allowed: true},
	} {
		r := httptest.NewRequest("PUT", "/connector-plugins/a/config/validate"+query, strings.NewReader("{}"))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		Handler(worker).ServeHTTP(w, r)
		assert.Equal(t, want.logon, strings.Contains(w.Body.String(), `"logon":"accepted","user":"me"`), query)
		assert.Equal(t, want.allowed, strings.Contains(w.Body.String(), `"allowed_values":["x"]`), query)
	}
}
