package console

import (
	"cmp"
	"net/url"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/internal/rest"
)

type pluginsPage struct {
	Modules []rest.Module
	// Users has the connectors of each class.
	Users map[string][]string
}

func (pr *pageRequest) plugins() (any, error) {
	p := pluginsPage{Users: map[string][]string{}}
	if err := pr.get("GET /culvert/plugins", &p.Modules); err != nil {
		return nil, err
	}
	for _, c := range pr.connectors("") {
		p.Users[c.Class] = append(p.Users[c.Class], c.Name)
	}
	return p, nil
}

// UsedBy returns the connectors that run a version of a plugin. Only the active version is used by new ones.
func (p pluginsPage) UsedBy(m rest.Module) (names []string) {
	if m.State != "active" {
		return nil
	}
	for _, class := range m.Classes {
		names = append(names, p.Users[class]...)
		alias := class[strings.LastIndexByte(class, '.')+1:]
		if alias != class {
			names = append(names, p.Users[alias]...)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// HasPrevious reports whether another version of a plugin is kept, which can be used again.
func (p pluginsPage) HasPrevious(m rest.Module) bool {
	return slices.ContainsFunc(p.Modules, func(other rest.Module) bool {
		return other.Plugin == m.Plugin && other.State == "kept"
	})
}

// connectors returns up to 1,000 connectors in a state, "" for all, or none if they are not available.
func (pr *pageRequest) connectors(state string) []rest.ConnectorSummary {
	var l rest.ConnectorList
	_, _ = pr.getOfGroup("GET /culvert/connectors", pairs("state", state, "limit", "1000"), &l)
	return l.Connectors
}

type workersPage struct {
	Workers []rest.WorkerInfo
	// Group is nil without a group or a leader.
	Group *rest.Group
}

func (pr *pageRequest) workers() (any, error) {
	var p workersPage
	err := pr.get("GET /culvert/workers", &p.Workers)
	var g rest.Group
	if groupErr := pr.get("GET /culvert/cluster", &g); groupErr == nil {
		p.Group = &g
	}
	return p, err
}

type servicesPage struct {
	Services []rest.Origin
	Silent   []string
}

func (pr *pageRequest) origins() (any, error) { return pr.services() }

func (pr *pageRequest) services() (p servicesPage, err error) {
	var o rest.Origins
	if _, err = pr.getOfGroup("GET /culvert/origins", url.Values{}, &o); err != nil {
		return p, err
	}
	return servicesPage{o.Origins, o.Silent}, nil
}

type logPage struct {
	Head       *connectorHead
	Level      string
	Logger     string
	Connector  string
	Worker     string
	Text       string
	Connectors []string
	Workers    []string
	rest.LogPage
}

func (logPage) Levels() []string { return []string{"INFO", "WARN", "ERROR", "DEBUG", "TRACE"} }

const logLines = "1000"

func (pr *pageRequest) log() (any, error) {
	l := logPage{Level: pr.query.Get("level"), Logger: pr.query.Get("logger"), Connector: pr.query.Get("connector"),
		Worker: pr.query.Get("worker"), Text: pr.query.Get("text")}
	var err error
	if l.Head, err = pr.head(l.Connector, "log"); isRefused(err, 404) {
		err = nil // lines outlive their connector
	}
	limit := ""
	if l.Text != "" {
		limit = logLines
	}
	err = cmp.Or(err, pr.get("GET /culvert/log?"+pairs("level", l.Level, "logger", l.Logger, "connector", l.Connector,
		"worker", l.Worker, "limit", limit).Encode(), &l.LogPage))
	slices.Reverse(l.Lines)
	l.Lines = slices.DeleteFunc(l.Lines, func(line rest.LogLine) bool {
		return !strings.Contains(strings.ToLower(line.Text), strings.ToLower(l.Text))
	})
	if !pr.isScript { // they are in the form, which is no fragment
		l.choices(pr)
	}
	return l, err
}

// choices reads what the lists of the form offer.
func (l *logPage) choices(v *pageRequest) {
	for _, c := range v.connectors("") {
		l.Connectors = append(l.Connectors, c.Name)
	}
	var workers []rest.WorkerInfo
	_ = v.get("GET /culvert/workers", &workers) // without it, the worker's own log
	for _, w := range workers {
		l.Workers = append(l.Workers, w.Worker)
	}
	l.Connectors = sortedWith(l.Connectors, l.Connector)
	l.Workers = sortedWith(l.Workers, l.Worker)
}

func sortedWith(names []string, chosen string) []string {
	if chosen != "" {
		names = append(names, chosen)
	}
	slices.Sort(names)
	return slices.Compact(names)
}
