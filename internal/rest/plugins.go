package rest

import (
	"cmp"
	"net/http"
)

// What Kafka Connect has no resources for, but operating.go and letters.go: plugins, and the folder of connectors.

// Module is a version of a plugin.
type Module struct {
	Plugin  string `json:"plugin,omitempty"`
	Version string `json:"version,omitempty"`
	// Hash is the SHA-256 of its file.
	Hash string `json:"hash"`
	File string `json:"file"`
	// State is active (new connectors get it), retired (only old ones run it), kept (a rollback comes back to it, or
	// the group runs another one) or refused. Chosen: an operator has named it, so that it goes before newer ones.
	State  string `json:"state"`
	Chosen bool   `json:"chosen,omitempty"`
	// Error says why it is refused.
	Error   string   `json:"error,omitempty"`
	Classes []string `json:"classes"`
	// Waits says why tasks do not run it: it does not fit.
	Waits string `json:"waits,omitempty"`
}

func (req *request) modules() {
	all := []Module{}
	for _, info := range req.worker.Now().Plugins.Modules() {
		m := Module{Plugin: info.Name, Version: info.Version, Hash: info.Hash, File: info.Path,
			State: info.State(), Chosen: info.Chosen, Classes: []string{},
			Waits: req.worker.Redact(info.Waits)}
		if info.Err != nil {
			m.Error = req.worker.Redact(info.Err.Error())
		}
		for _, c := range info.Components {
			m.Classes = append(m.Classes, c.Name)
		}
		all = append(all, m)
	}
	req.answer(http.StatusOK, all)
}

func (req *request) rollBack() { req.choose("") }

type choice struct {
	Hash string `json:"hash"`
}

func (req *request) swap() {
	var body choice
	if !req.readJSON(&body) {
		return
	}
	req.choose(cmp.Or(body.Hash, "none"))
}

// choose has connectors get another version of a plugin, by its hash; "" is the version before.
func (req *request) choose(hash string) {
	req.finish(http.StatusNoContent, req.control(func(Herder) error {
		switch m := req.worker.Now().Plugins; {
		case req.cluster != nil:
			return req.cluster.Choose(req.timeoutContext(), req.name(), hash)
		case hash != "":
			return m.Swap(req.timeoutContext(), req.name(), hash)
		default:
			if err := m.Rollback(req.name()); err != nil {
				return &Refusal{Status: http.StatusConflict, Message: err.Error()}
			}
			return nil
		}
	}))
}

// folder reports whether the worker follows a folder of connectors, and has it read again; if it does not, it has
// answered the request.
func (req *request) folder(again bool) (r Reload, ok bool) {
	if r, ok = req.worker.Reload(again); !ok {
		req.fail(http.StatusNotFound, "The worker follows no folder of connectors: it runs named files")
	}
	return r, ok
}

func (req *request) reload() {
	if r, ok := req.folder(false); ok {
		req.answer(http.StatusOK, r)
	}
}

func (req *request) rescan() {
	if _, ok := req.folder(true); ok {
		req.finish(http.StatusAccepted, nil)
	}
}

// errAlone answers what is asked of a group where there is none.
var errAlone = &Refusal{http.StatusNotFound, "This worker is alone: group.id, config.storage.topic and " +
	"status.storage.topic have it form a group with others"}

func (req *request) drain() {
	switch {
	case req.cluster == nil:
		req.failErr(errAlone)
	case req.cluster.Membership().Pending:
		req.failErr(errNoLeader)
	default:
		req.finish(http.StatusNoContent, req.cluster.Drain(req.timeoutContext()))
	}
}

func (req *request) groupOverview() {
	if req.cluster == nil {
		req.failErr(errAlone)
		return
	}
	o, leads := req.cluster.Overview()
	if !leads {
		req.failErr(errNoLeader)
		return
	}
	req.answer(http.StatusOK, o)
}
