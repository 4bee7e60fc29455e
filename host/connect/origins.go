package connect

import (
	"maps"
	"slices"

	"github.com/culvert-project/culvert/host/transport/limits"
)

// OriginUse is what this worker uses of an origin, and for which connectors.
type OriginUse struct {
	limits.Use
	WorkerID   string   `json:"worker_id"`
	Connectors []string `json:"connectors"`
}

// Origins returns the origins that connectors use, sorted.
func (h *Herder) Origins() []OriginUse {
	all := map[string]*OriginUse{}
	for _, k := range h.all() {
		client := k.observe().client
		if client == nil {
			continue
		}
		for _, u := range client.Uses() {
			if all[u.Origin] == nil {
				all[u.Origin] = &OriginUse{Use: u, WorkerID: h.shared.WorkerID}
			}
			all[u.Origin].Connectors = append(all[u.Origin].Connectors, k.name)
		}
	}
	var list []OriginUse
	for _, origin := range slices.Sorted(maps.Keys(all)) {
		list = append(list, *all[origin])
	}
	return list
}
