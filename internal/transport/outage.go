package transport

import "time"

func (d *destination) logOutage(sent time.Time, text string, e *exchange, args ...any) {
	request := e.method + " " + e.otherOrigin + redact(printable(e.line), d.secrets(nil))
	d.partner.Lost(d.config.Logger, sent, "", text, append([]any{"request", request}, args...)...)
}

const (
	notRetriedText  = "the service does not respond"
	noResponseText  = "the service does not respond; retrying until it does"
	unavailableText = "the service is not available; retrying until it is"
	noConnectorText = "no Cloud Connector is connected, or the service is unavailable; waiting"
)

// Away reports whether the service does not respond, which has been logged.
func (c *Client) Away() bool { return !c.AwaySince().IsZero() }

// AwaySince returns the time since which the service has not responded. Zero means that no outage is known.
func (c *Client) AwaySince() time.Time { return c.target.Load().partner.Since() }
