package transport

import "time"

// logOutage logs that the service did not process a request.
func (d *destination) logOutage(sent time.Time, text string, e *exchange, args ...any) {
	d.partner.Lost(d.config.Logger, sent, "", text, append([]any{"request", d.loggedRequest(e)}, args...)...)
}

const (
	noResponseText  = "the service does not answer, and is asked again until it does"
	unavailableText = "the service is not available, and is asked again until it is"
	noConnectorText = "no Cloud Connector, or the service is away: waiting"
)

func (d *destination) logRecovery(sent time.Time) {
	d.partner.Back(d.config.Logger, sent, "the service answers again", "origin", d.origin.String())
}

// Away reports whether the service is not answering. The client has logged that, so callers need not warn.
func (c *Client) Away() bool { return !c.AwaySince().IsZero() }

// AwaySince returns since when the service has not answered. Zero means it answers, as far as known.
func (c *Client) AwaySince() time.Time { return c.target.Load().partner.Since() }
