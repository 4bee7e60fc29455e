package transport

import (
	"context"
	"net"
	"net/http"
	"testing"
	"time"
)

// An unknown name of a proxy of SAP Connectivity is retried like that of any other host, but not once the dialer has
// waited for the end of an outage, as long as Route.Outage specifies.
func TestUnknownProxyNameIsRetried(t *testing.T) {
	for name, dialTime := range map[string]time.Duration{"no wait": 0, "wait for an outage": time.Minute} {
		dials := 0
		service(t, func(w http.ResponseWriter, r *http.Request) {}, func(c *Config) {
			c.Route.Outage = time.Minute
			dial := c.Dial
			c.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
				dials++
				if dials <= 2 {
					time.Sleep(dialTime)
					return nil, &net.DNSError{Name: "connectivityproxy", Err: "no such host", IsNotFound: true}
				}
				return dial(ctx, network, address)
			}
		}, func(t *testing.T, c *Client) {
			_, _, err := readText(t, c, get("/"))
			if hasWaited := dialTime > 0; (err != nil) != hasWaited || (hasWaited && dials != 1) {
				t.Errorf("%s: expected an error after one dial: %v, found %d dials, %v", name, hasWaited, dials, err)
			}
		})
	}
}
