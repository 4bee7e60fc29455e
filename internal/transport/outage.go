package transport

import "time"

func (d *destination) logOutage(sent time.Time, text string, e *exchange, args ...any) {
	d.partner.Lost(d.config.Logger, sent, "", text, append([]any{"request", d.loggedRequest(e)}, args...)...)
}

const (
	notRetriedText  = "the service does not respond"
	noResponseText  = "the service does not respond; retrying until it does"
	unavailableText = "the service is not available; retrying until it is"
	noConnectorText = "no Cloud Connector is connected, or the service is unavailable; waiting"
)

func (d *destination) logRecovery(sent time.Time) {
	d.partner.Back(d.config.Logger, sent, "the service responds again", "origin", d.origin.String())
}

// Away reports whether the service does not respond, which has been logged.
func (c *Client) Away() bool { return !c.AwaySince().IsZero() }

// AwaySince returns since when the service has not responded. Zero means that it does, as far as known.
func (c *Client) AwaySince() time.Time { return c.target.Load().partner.Since() }
