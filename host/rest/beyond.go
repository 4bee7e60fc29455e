package rest

import (
	"context"
	"net/http"
	"time"

	"github.com/culvert-project/culvert/host/connect"
)

// Beyond is a [Worker] that tells more of itself than Kafka Connect's does: below /culvert/.
type Beyond interface {
	// Modules are the versions of plugins.
	Modules() []Module
	// Motion is how far a connector is.
	Motion(name string) (m Motion, ok bool)
	// Lockouts are refused logons; ResumeLogons has them tried once more, and tells how many there were.
	Lockouts() (Lockouts, error)
	ResumeLogons() (int, error)
	// Rollback and Swap choose a version of a plugin; errors are as of [Worker.Pause], or
	// [plugin.ErrUnknownVersion].
	Rollback(plugin string) error
	Swap(ctx context.Context, plugin, hash string) error
	// Retire ends what a source has opened at its service, and says what that was. Errors are as of [Worker.Pause].
	Retire(ctx context.Context, name string) (string, error)
	// Snapshot has a feed of a source read whole beside going on, under an identification. Errors are as of
	// [Worker.Pause], [connect.ErrNoFeed] and [connect.ErrSnapshots].
	Snapshot(name, feed, ident string) error
	// Letters are the last dead letters of a connector, of each partition so many; Replay sends them once more.
	Letters(ctx context.Context, name string, last int64, chosen connect.LetterFilter) (Letters, error)
	Replay(ctx context.Context, name string, r connect.Replay) (connect.Replayed, error)
	// LookAgain has the folder of connectors read again; false: the worker follows none. Changes are what that would do
	// at the moment; errors are as of [Worker.Pause].
	LookAgain() bool
	Changes(ctx context.Context) ([]Change, error)
}

// Module is a version of a plugin.
type Module struct {
	Plugin  string `json:"plugin,omitempty"`
	Version string `json:"version,omitempty"`
	// Hash is the SHA-256 of its file, which `plugin.NAME.accept` takes.
	Hash string `json:"hash"`
	File string `json:"file"`
	// State is active (new connectors get it), retired (only old ones run it), kept (a rollback comes back to it) or
	// refused. Chosen: an operator has named it, so that it goes before newer ones.
	State  string `json:"state"`
	Chosen bool   `json:"chosen,omitempty"`
	// Error says why it is refused.
	Error   string   `json:"error,omitempty"`
	Classes []string `json:"classes"`
}

// Motion is how far a connector is, since its tasks were made.
type Motion struct {
	Name  string       `json:"name"`
	State string       `json:"state"`
	Type  string       `json:"type"`
	Tasks []TaskMotion `json:"tasks"`
}

// TaskMotion is how far a task is.
type TaskMotion struct {
	ID       int    `json:"id"`
	State    string `json:"state"`
	CaughtUp bool   `json:"caught_up"`
	// Rows have arrived, Refused ones have not and were tolerated.
	Rows    int64 `json:"rows"`
	Refused int64 `json:"refused"`
	// Pages and Bytes that a source has read, and its feeds.
	Pages int64        `json:"pages,omitempty"`
	Bytes int64        `json:"bytes,omitempty"`
	Feeds []FeedMotion `json:"feeds,omitempty"`
	// Lag is how many records a sink has before it. Of Uncertain ones nobody knows whether the service has them.
	Lag       int64 `json:"lag,omitempty"`
	Uncertain int64 `json:"uncertain,omitempty"`
}

// FeedMotion is how far a source is with what it reads by itself, such as an entity set.
type FeedMotion struct {
	Name     string `json:"name"`
	CaughtUp bool   `json:"caught_up"`
	// LastCaughtUp is when there was nothing more to read, in RFC 3339: so old is its delta token.
	LastCaughtUp *time.Time `json:"last_caught_up"`
	// Subscribed is since when notifications are to come, LastNotified when the last one came, in RFC 3339.
	Subscribed   *time.Time `json:"subscribed,omitempty"`
	LastNotified *time.Time `json:"last_notified,omitempty"`
	// AgeSeconds is how long ago that was.
	AgeSeconds *float64 `json:"age_seconds"`
	// NextRun is when it is read again by the clock, null: it is being read, or no clock says so.
	NextRun *time.Time `json:"next_run"`
	// Notifications of the service wait to be served.
	Notifications int          `json:"waiting_notifications"`
	LastRequest   *FeedRequest `json:"last_request"`
	LastError     *FeedError   `json:"last_error"`
	// Snapshots wait; LastSnapshot is the one that was begun last, or that the plugin does not read.
	Snapshots    int           `json:"waiting_snapshots"`
	LastSnapshot *FeedSnapshot `json:"last_snapshot"`
}

// FeedSnapshot is a feed that was read whole because somebody asked for it.
type FeedSnapshot struct {
	Snapshot string    `json:"snapshot"`
	At       time.Time `json:"at"`
	// Begun: it was; else the plugin reads none of this feed.
	Begun bool `json:"begun"`
}

// FeedRequest is a request for a page.
type FeedRequest struct {
	Request string    `json:"request"`
	At      time.Time `json:"at"`
	// Status is 0 where no answer has come, or not yet.
	Status int `json:"status"`
	// Milliseconds until the answer began.
	Milliseconds int64 `json:"ms"`
}

// FeedError is what went wrong with a page, in words of the service where it has said any: its code, and in the message
// what it calls the request by (of SAP systems the id of the transaction).
type FeedError struct {
	At      time.Time `json:"at"`
	Code    string    `json:"code,omitempty"`
	Message string    `json:"message"`
}

// withBeyond answers where the worker tells more of itself.
func withBeyond(serve func(*exchange, Beyond)) func(*exchange) {
	return func(x *exchange) {
		if w, ok := x.worker.(Beyond); ok {
			serve(x, w)
			return
		}
		x.framework(http.StatusNotFound)
	}
}

func (x *exchange) modules(w Beyond) { x.answer(http.StatusOK, append([]Module{}, w.Modules()...)) }

func (x *exchange) motion(w Beyond) {
	if m, ok := w.Motion(x.name()); ok {
		x.answer(http.StatusOK, m)
		return
	}
	x.notFound(x.name())
}

func (x *exchange) lookAgain(w Beyond) {
	if w.LookAgain() {
		x.done(http.StatusAccepted)
		return
	}
	x.fail(http.StatusNotFound, noFolder)
}
