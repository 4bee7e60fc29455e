package service

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/logtest"
	"github.com/culvert-project/culvert/internal/base/require"
)

// A task that failed because of its destination continues when the destination is corrected in the cockpit, also if the
// corrected secret is only used by the destination service to request tokens.
func TestCorrectedDestinationRestartsTask(t *testing.T) {
	for name, k := range map[string]struct {
		wrong  map[string]string
		right  map[string]string
		tokens bool // whether the destination service requests tokens
	}{
		"password": {
			wrong: map[string]string{"Authentication": "BasicAuthentication", "User": "u", "Password": "wr0ng"},
			right: map[string]string{"Authentication": "BasicAuthentication", "User": "u", "Password": "0ne"},
		},
		"client secret": {
			wrong:  map[string]string{"Authentication": "OAuth2ClientCredentials", "clientSecret": "wr0ng"},
			right:  map[string]string{"Authentication": "OAuth2ClientCredentials", "clientSecret": "0ne"},
			tokens: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			subaccount := newSubaccount(t)
			var requests requestLog
			var mu sync.Mutex
			acceptedLogon := "none"
			server := requests.server(t, func(r *http.Request) int {
				mu.Lock()
				defer mu.Unlock()
				if r.Header.Get("Authorization") != acceptedLogon {
					return http.StatusUnauthorized
				}
				return http.StatusOK
			})
			setLogon := func(configuration map[string]string, token string) {
				configuration["URL"] = server.URL
				configuration["ProxyType"] = "Internet"
				var tokens map[string]any
				if k.tokens {
					tokens = tokenResponse(token, 3600)
				}
				setDestination(t, subaccount, configuration, tokens)
			}
			setLogon(k.wrong, "t0ken-1")
			s, client := openService(t, &logtest.Journal{}, "x.http.destination=D")
			s.pollInterval = time.Millisecond
			version := s.version.Load()
			status, err := get(client, "/")
			require.True(t, err != nil || status == 401, "expected an error or 401, found %d", status)
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			defer cancel()
			result := make(chan bool, 1)
			go func() { result <- s.WaitForConfigChange(ctx, client, version) }()
			mu.Lock()
			acceptedLogon = "Basic dTowbmU="
			if k.tokens {
				acceptedLogon = "Bearer t0ken-2"
			}
			mu.Unlock()
			setLogon(k.right, "t0ken-2")
			s.destination.destinations.Forget("D") // as after four minutes in the cache
			require.True(t, <-result, "expected the task to continue")
			if status, err := get(client, "/"); err != nil || status != 200 {
				t.Errorf("with the corrected destination: expected 200, found %d, %v", status, err)
			}
		})
	}
}
