package rest

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/culvert-project/culvert/internal/connect"
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

type resumeResult struct {
	Resumed int `json:"resumed"`
}

func (req *request) lockouts() { req.reply(req.refusedLogons(), nil) }

func (req *request) refusedLogons() Lockouts {
	list, others := req.worker.Now().Lockouts.List()
	strike := req.worker.Redact
	shown := Lockouts{Logons: []Lockout{}, Others: others}
	for _, l := range list {
		shown.Logons = append(shown.Logons, Lockout{Origin: strike(l.Origin), Client: strike(l.Client),
			User: strike(l.User), State: "refused", Since: l.Since.UTC(), Message: strike(l.Text)})
	}
	return shown
}

func (req *request) resumeLogons() {
	var done resumeResult
	err := req.control(func(Herder) (err error) {
		parts := req.worker.Now()
		done.Resumed, err = parts.Lockouts.Resume(req.timeoutContext())
		parts.Log.Info("refused logons are tried once more, as REST was asked", "refusals", done.Resumed)
		return err
	})
	req.reply(done, err)
}

type retireResult struct {
	Ended string `json:"ended"`
}

func (req *request) retire() {
	var done retireResult
	err := req.control(func(h Herder) (err error) {
		done.Ended, err = h.Retire(req.timeoutContext(), req.name())
		return err
	})
	if errors.Is(err, connect.ErrNotStopped) {
		err = &Refusal{http.StatusConflict, "Connector " + req.name() + " must be STOPPED, and its tasks have ended, " +
			"before what it has opened at its service is ended; delete its offsets afterwards"}
	}
	req.reply(done, err)
}

type snapshotResult struct {
	Snapshot string `json:"snapshot"`
}

func (req *request) snapshot() {
	ident := strconv.FormatInt(time.Now().UnixMilli(), 10)
	err := req.control(func(h Herder) error { return h.Snapshot(req.name(), req.r.PathValue("feed"), ident) })
	switch {
	case errors.Is(err, connect.ErrNoFeed):
		req.snapshotOnOtherWorker(err)
	case err != nil:
		req.failErr(err)
	default:
		req.answer(http.StatusAccepted, snapshotResult{ident})
	}
}
