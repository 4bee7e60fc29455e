package connect

import (
	"context"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/culvert-project/culvert/host/config"
)

// A task that failed by a destination goes on when that is mended in the cockpit, also where the mended secret is one that only the
// destination service uses, to fetch tokens.
func TestDestinationThatIsMended(t *testing.T) {
	for name, k := range map[string]struct {
		wrong, right map[string]string
		tokens       bool
	}{
		"password": {map[string]string{"Authentication": "BasicAuthentication", "User": "u", "Password": "wr0ng"},
			map[string]string{"Authentication": "BasicAuthentication", "User": "u", "Password": "0ne"}, false},
		"client secret": {map[string]string{"Authentication": "OAuth2ClientCredentials", "clientSecret": "wr0ng"},
			map[string]string{"Authentication": "OAuth2ClientCredentials", "clientSecret": "0ne"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			a := destinations(t)
			var seen sightings
			var mu sync.Mutex
			good := "none"
			server := seen.server(t, func(r *http.Request) int {
				mu.Lock()
				defer mu.Unlock()
				if r.Header.Get("Authorization") != good {
					return http.StatusUnauthorized
				}
				return http.StatusOK
			})
			put := func(configuration map[string]string, token string) {
				configuration["URL"], configuration["ProxyType"] = server.URL, "Internet"
				var more map[string]any
				if k.tokens {
					more = delivered(token, 3600)
				}
				define(t, a, configuration, more)
			}
			put(k.wrong, "t0ken-1")
			s, client := opened(t, &journal{}, "x.http.destination=D")
			s.rereads = time.Millisecond
			version := s.version.Load()
			if status, err := ask(client, "/"); err == nil && status != 401 {
				t.Fatalf("expected to be refused, found %d", status)
			}
			failed := &task{connector: &connector{service: s, client: client}}
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			gone := make(chan bool, 1)
			go func() { gone <- failed.mended(ctx, version) }()
			mu.Lock()
			if good = "Basic dTowbmU="; k.tokens {
				good = "Bearer t0ken-2"
			}
			mu.Unlock()
			put(k.right, "t0ken-2")
			s.target.destinations.Forget("D") // as after its four minutes
			if !<-gone {
				t.Fatal("expected the task to go on")
			}
			if status, err := ask(client, "/"); err != nil || status != 200 {
				t.Errorf("with the mended destination: %d, %v", status, err)
			}
		})
	}
}

// A connector that cannot start by what it is told starts when somebody mends that: what stands behind a reference, a store, a
// destination.
func TestConnectorThatIsMended(t *testing.T) {
	plain := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer plain.Close()
	secure := httptest.NewTLSServer(nil)
	defer secure.Close()
	_, port, _ := strings.Cut(strings.TrimPrefix(plain.URL, "http://"), ":")
	dir := t.TempDir()
	put := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("port", "70000")
	account := destinations(t)
	roots := filepath.Join(dir, "roots.pem")
	for name, k := range map[string]struct {
		lines []string
		fault string
		mend  func()
	}{
		"reference": {[]string{"spy.address=localhost", "spy.scheme=http", "spy.port=${dir:" + dir + ":port}"}, "70000", func() { put("port", port) }},
		"store": {[]string{"spy.address=localhost", "spy.scheme=https", "spy.port=" + port, "spy.roots=" + roots}, "roots.pem", func() {
			put("roots.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw})))
		}},
		"destination": {[]string{"spy.destination=D"}, "destination", func() {
			define(t, account, map[string]string{"URL": plain.URL, "ProxyType": "Internet", "Authentication": "NoAuthentication"}, nil)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, "./testdata/spy")
			b.connect(t)
			h := New(b.options, []*config.Connector{b.connector(t, append([]string{"name=c", "connector.class=test.SpySource"}, k.lines...)...)})
			h.find("c").current.rereads = 10 * time.Millisecond
			ctx, stop := context.WithTimeout(t.Context(), time.Minute)
			ended := make(chan struct{})
			go func() { defer close(ended); h.Run(ctx) }()
			defer func() { stop(); <-ended }()
			await := func(want State) Status {
				t.Helper()
				ticker := time.NewTicker(5 * time.Millisecond)
				defer ticker.Stop()
				for {
					s, _ := h.Status("c")
					h.Info("c")
					if s.Connector.State == want {
						return s
					}
					select {
					case <-ticker.C:
					case <-ctx.Done():
						t.Fatalf("expected %v, found %v\n%s", want, s, b.log.String())
					}
				}
			}
			if s := await(Failed); !strings.Contains(s.Connector.Trace, k.fault) {
				t.Fatalf("expected to fail by %q, found %s", k.fault, s.Connector.Trace)
			}
			k.mend()
			if s := await(Running); s.Connector.Trace != "" || len(s.Tasks) != 1 {
				t.Errorf("mended: found %v", s)
			}
			if said := strings.Count(b.log.String(), "connector FAILED"); said != 1 {
				t.Errorf("expected one FAILED in the log, found %d", said)
			}
		})
	}
}

// A connector whose binding is refused does not show the secret again and again (P10).
func TestRefusedBindingIsNotShownAgain(t *testing.T) {
	destinations(t).TokenServiceDown(401)
	b := newBench(t, "./testdata/spy")
	b.connect(t)
	h := New(b.options, []*config.Connector{b.connector(t, "name=c", "connector.class=test.SpySource", "spy.destination=D")})
	life := h.find("c").current
	life.rereads = time.Millisecond
	var last event
	var fault error
	life.report = func(e event, err error) { last, fault = e, err }
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	life.run(ctx, false) // which nothing but another binding lets go on
	if ctx.Err() != nil || last != onFailed || !strings.Contains(fmt.Sprint(fault), "401") {
		t.Errorf("expected to have failed by 401 for good, found %s, %v, %v", last, fault, ctx.Err())
	}
}
