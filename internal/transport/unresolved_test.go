package transport

import (
	"context"
	"net"
	"net/http"
	"testing"
	"time"
)

// An unknown name of a Connectivity proxy is retried like any other name. An outage that was waited for is not.
func TestUnknownProxyNameIsRetried(t *testing.T) {
	for name, takes := range map[string]time.Duration{"at once": 0, "behind an outage": time.Minute} {
		tries := 0
		service(t, func(w http.ResponseWriter, r *http.Request) {}, func(c *Config) {
			c.Route.Outage = time.Minute
			dial := c.Dial
			c.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
				tries++
				if tries <= 2 {
					time.Sleep(takes)
					return nil, &net.DNSError{Name: "connectivityproxy", Err: "no such host", IsNotFound: true}
				}
				return dial(ctx, network, address)
			}
		}, func(t *testing.T, c *Client) {
			_, _, err := text(t, c, get("/"))
			if waited := takes > 0; (err != nil) != waited || (waited && tries != 1) {
				t.Errorf("%s: found %d tries, %v", name, tries, err)
			}
		})
	}
}
