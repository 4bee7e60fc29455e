package rest

import (
	"net/http"
	"time"
)

// Beyond is a [Worker] that tells more of itself than Kafka Connect's does: below /culvert/.
type Beyond interface {
	// Modules are the versions of plugins.
	Modules() []Module
	// Motion is how far a connector is.
	Motion(name string) (m Motion, ok bool)
	// LookAgain has the folder of connectors read again; false: the worker follows none.
	LookAgain() bool
}

// Module is a version of a plugin.
type Module struct {
	Plugin  string `json:"plugin,omitempty"`
	Version string `json:"version,omitempty"`
	// Hash is the SHA-256 of its file, which `plugin.NAME.accept` takes.
	Hash string `json:"hash"`
	File string `json:"file"`
	// State is active (new connectors get it), retired (only old ones run it) or refused.
	State string `json:"state"`
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
