package rest

import (
	"cmp"
	"net/http"
	"slices"
	"time"
)

// Origins are the services that the connectors of all workers talk to.
type Origins struct {
	Origins []Origin `json:"origins"`
	// Silent are the workers that have not said, with the reason.
	Silent []string `json:"silent,omitempty"`
}

// Origin is what one worker uses of a service, against what it may use. Limits are those that hold for the worker at
// the moment: the strictest of its connectors', or its share in the group. 0 is none.
type Origin struct {
	Origin     string   `json:"origin"`
	WorkerID   string   `json:"worker_id"`
	Connectors []string `json:"connectors"`
	Requests   Use      `json:"requests"`
	// Connections are open ones, idle ones included.
	Connections Use `json:"connections"`
	Sessions    Use `json:"sessions"`
	// PerSecond is how many requests may begin in a second.
	PerSecond float64 `json:"requests_per_second,omitempty"`
	// Waiting says why requests wait that have waited for long.
	Waiting []string `json:"waiting,omitempty"`
	// Windows are the maintenance windows; Maintenance is when the one ends that is open.
	Windows     []string   `json:"maintenance_windows,omitempty"`
	Maintenance *time.Time `json:"maintenance_until,omitempty"`
	// Lockouts are logons that the service has refused.
	Lockouts []Lockout `json:"lockouts,omitempty"`
}

// Use is how much of something is used, and waited for, against the limit.
type Use struct {
	Used    int `json:"used"`
	Limit   int `json:"limit"`
	Waiting int `json:"waiting,omitempty"`
}

func (x *exchange) origins() {
	all, err := x.ownOrigins()
	var parts []part
	if err == nil {
		parts, err = x.parts("", http.StatusOK)
	}
	all.Silent = gathered(parts, func(_ string, o Origins) { all.Origins = append(all.Origins, o.Origins...) })
	slices.SortStableFunc(all.Origins, func(a, b Origin) int {
		return cmp.Or(cmp.Compare(a.Origin, b.Origin), cmp.Compare(a.WorkerID, b.WorkerID))
	})
	x.reply(all, err)
}

// ownOrigins are those of this worker.
func (x *exchange) ownOrigins() (Origins, error) {
	own := Origins{Origins: []Origin{}}
	uses := x.worker.Herder().Origins()
	if len(uses) == 0 {
		return own, nil
	}
	refused, err := x.refusedLogons()
	if err != nil {
		return own, err
	}
	for _, u := range uses {
		o := Origin{Origin: x.worker.Strike(u.Origin), WorkerID: u.WorkerID, Connectors: u.Connectors,
			Requests: Use(u.Requests), Connections: Use(u.Connections), Sessions: Use(u.Sessions),
			PerSecond: u.PerSecond, Waiting: x.struck(u.Waiting), Windows: x.struck(u.Windows)}
		if !u.Until.IsZero() {
			until := u.Until.UTC()
			o.Maintenance = &until
		}
		for _, l := range refused.Logons {
			if l.Origin == o.Origin {
				o.Lockouts = append(o.Lockouts, l)
			}
		}
		own.Origins = append(own.Origins, o)
	}
	return own, nil
}
