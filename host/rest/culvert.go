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

func (x *exchange) modules() {
	all := []Module{}
	for _, info := range x.worker.Now().Plugins.Modules() {
		m := Module{Plugin: info.Name, Version: info.Version, Hash: info.Hash, File: info.Path,
			State: info.State(), Chosen: info.Chosen, Classes: []string{},
			Waits: x.worker.Strike(info.Waits)}
		if info.Err != nil {
			m.Error = x.worker.Strike(info.Err.Error())
		}
		for _, c := range info.Components {
			m.Classes = append(m.Classes, c.Name)
		}
		all = append(all, m)
	}
	x.answer(http.StatusOK, all)
}

func (x *exchange) rollBack() { x.choose("") }

// choice is which version of a plugin connectors get.
type choice struct {
	Hash string `json:"hash"`
}

func (x *exchange) swap() {
	var asked choice
	if !x.body(&asked) {
		return
	}
	x.choose(cmp.Or(asked.Hash, "none"))
}

// choose has connectors get another version of a plugin, by its hash; "" is the version before.
func (x *exchange) choose(hash string) {
	x.done(http.StatusNoContent, x.steer(func(Herder) error {
		switch m := x.worker.Now().Plugins; {
		case x.cluster != nil:
			return x.cluster.Choose(x.limited(), x.name(), hash)
		case hash != "":
			return m.Swap(x.limited(), x.name(), hash)
		default:
			if err := m.Rollback(x.name()); err != nil {
				return &Refusal{Status: http.StatusConflict, Message: err.Error()}
			}
			return nil
		}
	}))
}

// folder reports whether the worker follows a folder of connectors, and has it read again; if it does not, it has
// answered the request.
func (x *exchange) folder(again bool) (r Reload, ok bool) {
	if r, ok = x.worker.Reload(again); !ok {
		x.fail(http.StatusNotFound, "The worker follows no folder of connectors: it runs named files")
	}
	return r, ok
}

func (x *exchange) reload() {
	if r, ok := x.folder(false); ok {
		x.answer(http.StatusOK, r)
	}
}

func (x *exchange) lookAgain() {
	if _, ok := x.folder(true); ok {
		x.done(http.StatusAccepted, nil)
	}
}

// errAlone answers what is asked of a group where there is none.
var errAlone = &Refusal{http.StatusNotFound, "This worker is alone: group.id, config.storage.topic and " +
	"status.storage.topic have it form a group with others"}

func (x *exchange) drain() {
	switch {
	case x.cluster == nil:
		x.failed(errAlone)
	case x.cluster.Seat().Pending:
		x.failed(errNoLeader)
	default:
		x.done(http.StatusNoContent, x.cluster.Drain(x.limited()))
	}
}

func (x *exchange) overview() {
	if x.cluster == nil {
		x.failed(errAlone)
		return
	}
	o, leads := x.cluster.Overview()
	if !leads {
		x.failed(errNoLeader)
		return
	}
	x.answer(http.StatusOK, o)
}
