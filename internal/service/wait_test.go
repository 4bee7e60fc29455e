package service

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/logtest"
)

// A task that failed because of its destination continues when the destination is corrected in the cockpit, also if the
// corrected secret is only used by the destination service to request tokens.
func TestCorrectedDestinationRestartsTask(t *testing.T) {
	for name, k := range map[string]struct {
		wrong  map[string]string
		right  map[string]string
		tokens bool
	}{
		"password": {
			wrong: map[string]string{"Authentication": "BasicAuthentication", "User": "u", "Password": "wr0ng"},
			right: map[string]string{"Authentication": "BasicAuthentication", "User": "u", "Password": "0ne"},
		},
		"client secret": {
			wrong: map[string]string{"Authentication": "OAuth2ClientCredentials", "clientSecret": "wr0ng"},
			right: map[string]string{"Authentication": "OAuth2ClientCredentials", "clientSecret": "0ne"}, tokens: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := destinations(t)
			var seen seenRequests
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
				configuration["URL"] = server.URL
				configuration["ProxyType"] = "Internet"
				var more map[string]any
				if k.tokens {
					more = delivered(token, 3600)
				}
				define(t, a, configuration, more)
			}
			put(k.wrong, "t0ken-1")
			s, client := opened(t, &logtest.Journal{}, "x.http.destination=D")
			s.pollInterval = time.Millisecond
			version := s.version.Load()
			if status, err := ask(client, "/"); err == nil && status != 401 {
				t.Fatalf("expected 401, found %d", status)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			defer cancel()
			result := make(chan bool, 1)
			go func() { result <- s.WaitForConfigChange(ctx, client, version) }()
			mu.Lock()
			good = "Basic dTowbmU="
			if k.tokens {
				good = "Bearer t0ken-2"
			}
			mu.Unlock()
			put(k.right, "t0ken-2")
			s.destination.destinations.Forget("D") // as after four minutes in the cache
			if !<-result {
				t.Fatal("expected the task to continue")
			}
			if status, err := ask(client, "/"); err != nil || status != 200 {
				t.Errorf("with the corrected destination: expected 200, found %d, %v", status, err)
			}
		})
	}
}
