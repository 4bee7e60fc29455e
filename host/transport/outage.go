package transport

import "time"

// logOutage logs that the service has not served a request that was sent at a time.
func (d *destination) logOutage(sent time.Time, text string, e *exchange, args ...any) {
	d.partner.Lost(d.config.Logger, sent, "", text, append([]any{"request", d.named(e)}, args...)...)
}

// What is said of an outage when it begins.
const (
	noAnswerComes = "the service does not answer, and is asked again until it does"
	notAvailable  = "the service is not available, and is asked again until it is"
	noConnector   = "no Cloud Connector, or the service is away: waiting"
)

// logRecovery says that the service has served a request.
func (d *destination) logRecovery(sent time.Time) {
	d.partner.Back(d.config.Logger, sent, "the service answers again", "origin", d.origin.String())
}

// Away says whether the service does not answer at present. The client has warned of that, so what follows from it
// needs no warning of its own.
func (c *Client) Away() bool { return !c.AwaySince().IsZero() }

// AwaySince is since when the service does not answer; zero: it answers, as far as anybody has asked.
func (c *Client) AwaySince() time.Time { return c.target.Load().partner.Since() }
