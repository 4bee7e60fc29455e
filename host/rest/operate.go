package rest

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/culvert-project/culvert/host/connect"
)

// Lockouts are logons that a service has refused.
type Lockouts struct {
	Logons []Lockout `json:"logons"`
	// Others are refusals of other programs of this user, of which nothing but their number is known.
	Others int `json:"others"`
}

// Lockout is a logon that is not tried.
type Lockout struct {
	Origin string `json:"origin"`
	Client string `json:"client,omitempty"`
	User   string `json:"user"`
	// State is always refused: it is not sent again.
	State   string    `json:"state"`
	Since   time.Time `json:"since"`
	Message string    `json:"message"`
}

type resumed struct {
	Resumed int `json:"resumed"`
}

func (x *exchange) lockouts() { x.reply(x.refusedLogons(), nil) }

// refusedLogons are the worker's.
func (x *exchange) refusedLogons() Lockouts {
	list, others := x.worker.Now().Lockouts.List()
	strike := x.worker.Strike
	shown := Lockouts{Logons: []Lockout{}, Others: others}
	for _, l := range list {
		shown.Logons = append(shown.Logons, Lockout{Origin: strike(l.Origin), Client: strike(l.Client),
			User: strike(l.User), State: "refused", Since: l.Since.UTC(), Message: strike(l.Text)})
	}
	return shown
}

func (x *exchange) resumeLogons() {
	var done resumed
	err := x.steer(func(Herder) (err error) {
		parts := x.worker.Now()
		done.Resumed, err = parts.Lockouts.Resume(x.limited())
		parts.Log.Info("refused logons are tried once more, as REST was asked", "refusals", done.Resumed)
		return err
	})
	x.reply(done, err)
}

type ended struct {
	Ended string `json:"ended"`
}

func (x *exchange) retire() {
	var done ended
	err := x.steer(func(h Herder) (err error) {
		done.Ended, err = h.Retire(x.limited(), x.name())
		return err
	})
	if errors.Is(err, connect.ErrNotStopped) {
		err = &Refusal{http.StatusConflict, "Connector " + x.name() + " must be STOPPED, and its tasks have ended, " +
			"before what it has opened at its service is ended; delete its offsets afterwards"}
	}
	x.reply(done, err)
}

// snapshotAsked is a snapshot that was noted.
type snapshotAsked struct {
	Snapshot string `json:"snapshot"`
}

func (x *exchange) snapshot() {
	ident := strconv.FormatInt(time.Now().UnixMilli(), 10)
	err := x.steer(func(h Herder) error { return h.Snapshot(x.name(), x.r.PathValue("feed"), ident) })
	switch {
	case errors.Is(err, connect.ErrNoFeed):
		x.snapshotElsewhere(err)
	case err != nil:
		x.failed(err)
	default:
		x.answer(http.StatusAccepted, snapshotAsked{ident})
	}
}
