package rest

import (
	"cmp"
	"net/http"
)

// Module is a file with a version of a plugin.
type Module struct {
	Plugin  string `json:"plugin,omitempty"`
	Version string `json:"version,omitempty"`
	Hash    string `json:"hash"` // the SHA-256 of the file
	File    string `json:"file"`
	// State is active (new connectors get it), retired (only old ones run it), kept (for a rollback, or the group runs
	// another one) or refused. Chosen means that an operator selected it.
	State   string   `json:"state"`
	Chosen  bool     `json:"chosen,omitempty"`
	Error   string   `json:"error,omitempty"`
	Classes []string `json:"classes"`
	Waits   string   `json:"waits,omitempty"` // why tasks do not run the version
	// Connectors use the file for their class, transformations or predicates. Those whose tasks still run it, although
	// new tasks get another version, are known only to the worker of the tasks.
	Connectors []string `json:"connectors"`
}

func (req *request) modules() {
	modules := []Module{}
	users := req.herder().PluginUsers()
	for _, info := range req.worker.Now().Plugins.Modules() {
		m := Module{Plugin: info.Name, Version: info.Version, Hash: info.Hash, File: info.Path, State: info.State(),
			Chosen: info.Chosen, Classes: []string{}, Waits: req.worker.Redact(info.Waits),
			Connectors: append([]string{}, users[info.Hash]...)}
		if info.Err != nil {
			m.Error = req.worker.Redact(info.Err.Error())
		}
		for _, c := range info.Components {
			m.Classes = append(m.Classes, c.Name)
		}
		modules = append(modules, m)
	}
	req.answer(http.StatusOK, modules)
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
	req.choose(cmp.Or(body.Hash, "none")) // no version has this hash, but "" would choose the previous one
}

// choose switches to the plugin version with a hash; "" means the previous version.
func (req *request) choose(hash string) {
	req.finish(http.StatusNoContent, req.control(func(Herder) error {
		switch m := req.worker.Now().Plugins; {
		case !req.cluster.Membership().IsStandalone:
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

// folder returns the state of the connector folder, after a new scan if again is set. Without a folder it has answered.
func (req *request) folder(again bool) (r Reload, ok bool) {
	if r, ok = req.worker.Reload(again); !ok {
		req.fail(http.StatusNotFound, "This worker watches no connector folder: it runs the files named on its "+
			"command line")
	}
	return r, ok
}

func (req *request) reload() {
	const again = false
	if r, ok := req.folder(again); ok {
		req.answer(http.StatusOK, r)
	}
}

func (req *request) rescan() {
	const again = true
	if _, ok := req.folder(again); ok {
		req.finish(http.StatusAccepted, nil)
	}
}

var errNoGroup = &Refusal{http.StatusNotFound,
	"This worker is in no group: set group.id, config.storage.topic and status.storage.topic to form one"}

func (req *request) drain() {
	if req.cluster.Membership().Pending {
		req.failErr(errNoLeader)
		return
	}
	req.finish(http.StatusNoContent, req.cluster.Drain(req.timeoutContext()))
}

func (req *request) groupOverview() {
	if req.cluster.Membership().IsStandalone {
		req.failErr(errNoGroup)
		return
	}
	overview, isLeader := req.cluster.Overview()
	if !isLeader {
		req.failErr(errNoLeader)
		return
	}
	req.answer(http.StatusOK, overview)
}
