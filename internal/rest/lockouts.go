package rest

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/transport/lockouts"
)

// Lockouts lists logons that services have refused.
type Lockouts struct {
	Logons []Lockout `json:"logons"`
	Others int       `json:"others"` // refusals of other programs of this user
}

// Lockout is a refused logon, which is not retried.
type Lockout struct {
	Origin  string    `json:"origin"`
	Client  string    `json:"client,omitempty"`
	User    string    `json:"user"`
	State   string    `json:"state"` // always "refused"
	Since   time.Time `json:"since"`
	Message string    `json:"message"`
	// Connectors of this worker that log on with it.
	Connectors []string `json:"connectors"`
}

type resumeResult struct {
	Resumed int `json:"resumed"`
}

func (req *request) lockouts() {
	logons, _ := req.refusedLogons(req.herder().Origins())
	req.reply(logons, nil)
}

// refusedLogons returns all refused logons. byOrigin has the logons at the services and the proxies of each origin.
func (req *request) refusedLogons(uses []connect.OriginUse) (result Lockouts, byOrigin map[string][]Lockout) {
	list, others := req.worker.Now().Lockouts.List()
	redact := req.worker.Redact
	result = Lockouts{Logons: []Lockout{}, Others: others}
	byOrigin = map[string][]Lockout{}
	for _, l := range list {
		lockout := Lockout{Origin: redact(l.Origin), Client: redact(l.Client), User: redact(l.User), State: "refused",
			Since: l.Since.UTC(), Message: redact(l.Text), Connectors: []string{}}
		user := lockouts.Identity{Origin: l.Origin, Client: l.Client, User: l.User}
		for i := range uses {
			lockout.Connectors = append(lockout.Connectors, uses[i].Logons[user]...)
		}
		slices.Sort(lockout.Connectors)
		for i := range uses {
			if l.Origin == uses[i].Origin || len(uses[i].Logons[user]) > 0 {
				byOrigin[uses[i].Origin] = append(byOrigin[uses[i].Origin], lockout)
			}
		}
		result.Logons = append(result.Logons, lockout)
	}
	return result, byOrigin
}

func (req *request) resumeLogons() {
	var result resumeResult
	err := req.control(func(Herder) (err error) {
		parts := req.worker.Now()
		result.Resumed, err = parts.Lockouts.Resume(req.timeoutContext())
		parts.Log.Info("refused logons are retried at the request of a REST client", "refusals", result.Resumed)
		return err
	})
	req.reply(result, err)
}

type retireResult struct {
	Ended string `json:"ended"`
}

func (req *request) retire() {
	var result retireResult
	err := req.control(func(h Herder) (err error) {
		result.Ended, err = h.Retire(req.timeoutContext(), req.name())
		return err
	})
	if errors.Is(err, connect.ErrNotStopped) {
		err = &Refusal{http.StatusConflict, "Connector " + req.name() +
			" must be STOPPED, and its tasks must have ended, before its subscriptions and delta queues are ended; " +
			"delete its offsets afterwards"}
	}
	req.reply(result, err)
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
