package transport

import (
	"context"
	"log/slog"
	"time"

	"github.com/culvert-project/culvert/host/guard"
)

// outage is what was said of a service that does not answer: once for all clients, and once that it is over. Safe for
// use by several goroutines.
type outage struct {
	mu    guard.Mutex
	since time.Time // zero: there is none
	ended time.Time // the one before
}

// settling is how long what is said of a service stands: one that answers now and again is not reported with each try.
const settling = 2 * time.Second

// begins says whether the outage that a request met is a new one. One that was sent while the one before lasted is
// late.
func (o *outage) begins(sent time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.since.IsZero() || sent.Before(o.ended.Add(settling)) {
		return false
	}
	o.since = time.Now()
	return true
}

// ends is how long there was an outage, which is over because a request that was sent since has an answer; 0: there was
// none, or it lasts.
func (o *outage) ends(sent time.Time) time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.since.IsZero() || !sent.After(o.since) {
		return 0
	}
	lasted := time.Since(o.since)
	o.since, o.ended = time.Time{}, time.Now()
	return max(lasted, 1)
}

// from is since when there is an outage; zero: there is none.
func (o *outage) from() time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.since
}

// silent says that the service has not served a request that was sent at a time. It is a warning once for each outage,
// and for what else meets it a line of level debug.
func (d *destination) silent(sent time.Time, text string, e *exchange, args ...any) {
	level := slog.LevelDebug
	if d.outage.begins(sent) {
		level = slog.LevelWarn
	}
	d.config.Logger.Log(context.Background(), level, text, append([]any{"request", d.named(e)}, args...)...)
}

// What is said of an outage when it begins.
const (
	noAnswerComes = "the service does not answer, and is asked again until it does"
	notAvailable  = "the service is not available, and is asked again until it is"
	noConnector   = "no Cloud Connector, or the service is away: waiting"
)

// answers says that the service has served a request.
func (d *destination) answers(sent time.Time) {
	if lasted := d.outage.ends(sent); lasted > 0 {
		d.config.Logger.Info("the service answers again", "origin", d.origin.String(), "after",
			lasted.Round(time.Second))
	}
}

// Away says whether the service does not answer at present. The client has warned of that, so what follows from it
// needs no warning of its own.
func (c *Client) Away() bool { return !c.AwaySince().IsZero() }

// AwaySince is since when the service does not answer; zero: it answers, as far as anybody has asked.
func (c *Client) AwaySince() time.Time { return c.at.Load().outage.from() }
