package transport

import (
	"context"
	"net"
	"net/http"
	"testing"
	"time"
)

// The name of a Connectivity proxy that is unknown for a moment is what any name is: tried again. Only an outage that
// was waited for is not.
func TestProxyThatIsUnknownForAMoment(t *testing.T) {
	for name, takes := range map[string]time.Duration{"at once": 0, "behind an outage": time.Minute} {
		tries := 0
		service(t, func(w http.ResponseWriter, r *http.Request) {}, func(c *Config) {
			c.Route.Outage = time.Minute
			dial := c.Dial
			c.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
				if tries++; tries <= 2 {
					time.Sleep(takes)
					return nil, &net.DNSError{Name: "connectivityproxy", Err: "no such host", IsNotFound: true}
				}
				return dial(ctx, network, address)
			}
		}, func(t *testing.T, c *Client) {
			_, _, err := text(t, c, get("/"))
			if waited := takes > 0; (err != nil) != waited || waited && tries != 1 {
				t.Errorf("%s: %d tries, %v", name, tries, err)
			}
		})
	}
}
