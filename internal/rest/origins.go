package rest

import (
	"cmp"
	"net/http"
	"slices"

	"github.com/culvert-project/culvert/internal/connect"
)

// Origins lists the services that the connectors of all workers use.
type Origins struct {
	Origins []Origin `json:"origins"`
	Silent  []string `json:"silent,omitempty"` // workers that did not respond, with the reason
}

// Origin is one worker's use of a service, with the limits.
type Origin struct {
	connect.OriginUse
	Lockouts []Lockout `json:"lockouts,omitempty"`
}

func (req *request) origins() {
	origins := req.ownOrigins()
	answers, err := req.queryWorkers("", http.StatusOK)
	origins.Silent = mergeAnswers(answers, func(_ string, o Origins) {
		origins.Origins = append(origins.Origins, o.Origins...)
	})
	slices.SortStableFunc(origins.Origins, func(a, b Origin) int {
		return cmp.Or(cmp.Compare(a.Origin, b.Origin), cmp.Compare(a.WorkerID, b.WorkerID))
	})
	req.reply(origins, err)
}

func (req *request) ownOrigins() Origins {
	origins := Origins{Origins: []Origin{}}
	uses := req.herder().Origins()
	if len(uses) == 0 {
		return origins
	}
	_, refused := req.refusedLogons(uses)
	for _, u := range uses {
		o := Origin{OriginUse: u, Lockouts: refused[u.Origin]}
		o.Origin = req.worker.Redact(u.Origin)
		o.Waiting = req.redactAll(u.Waiting)
		o.Windows = req.redactAll(u.Windows)
		origins.Origins = append(origins.Origins, o)
	}
	return origins
}
