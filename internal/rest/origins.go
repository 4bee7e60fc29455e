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
	all := req.ownOrigins()
	answers, err := req.queryWorkers("", http.StatusOK)
	all.Silent = mergeAnswers(answers, func(_ string, o Origins) { all.Origins = append(all.Origins, o.Origins...) })
	slices.SortStableFunc(all.Origins, func(a, b Origin) int {
		return cmp.Or(cmp.Compare(a.Origin, b.Origin), cmp.Compare(a.WorkerID, b.WorkerID))
	})
	req.reply(all, err)
}

func (req *request) ownOrigins() Origins {
	own := Origins{Origins: []Origin{}}
	uses := req.herder().Origins()
	if len(uses) == 0 {
		return own
	}
	refused := req.refusedLogons()
	for _, u := range uses {
		u.Origin, u.Waiting, u.Windows = req.worker.Redact(u.Origin), req.redactAll(u.Waiting), req.redactAll(u.Windows)
		o := Origin{OriginUse: u}
		for _, l := range refused.Logons {
			if l.Origin == o.Origin {
				o.Lockouts = append(o.Lockouts, l)
			}
		}
		own.Origins = append(own.Origins, o)
	}
	return own
}
