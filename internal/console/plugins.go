package console

import (
	"cmp"
	"net/url"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/internal/rest"
)

type pluginsPage struct{ Modules []rest.Module }

func (pr *pageRequest) plugins() (any, error) {
	var page pluginsPage
	err := pr.get("GET /culvert/plugins", &page.Modules)
	return page, err
}

// HasPrevious reports whether another version of a plugin is kept, which can be used again.
func (p pluginsPage) HasPrevious(m rest.Module) bool {
	return slices.ContainsFunc(p.Modules, func(other rest.Module) bool {
		return other.Plugin == m.Plugin && other.State == "kept"
	})
}

// connectors returns up to 1,000 connectors, no connectors if they are not available.
func (pr *pageRequest) connectors() []rest.ConnectorSummary {
	var list rest.ConnectorList
	_, _ = pr.getOfGroup("GET /culvert/connectors", pairs("limit", "1000"), &list)
	return list.Connectors
}

type workersPage struct {
	Workers []rest.WorkerInfo
	Group   *rest.Group // nil without a group or a leader
}

func (pr *pageRequest) workers() (any, error) {
	var page workersPage
	err := pr.get("GET /culvert/workers", &page.Workers)
	var group rest.Group
	if groupErr := pr.get("GET /culvert/cluster", &group); groupErr == nil {
		page.Group = &group
	}
	return page, err
}

// currentWorkers returns the workers that have not left and are not lost.
func currentWorkers(workers []rest.WorkerInfo) []rest.WorkerInfo {
	return slices.DeleteFunc(workers, func(w rest.WorkerInfo) bool { return w.State == "lost" || w.State == "left" })
}

type servicesPage struct {
	Services []rest.Origin
	Silent   []string // workers that do not answer
}

// RefusedLogons returns each refused logon once, with the connectors of all workers.
func (p servicesPage) RefusedLogons() (logons []rest.Lockout) {
	for _, service := range p.Services {
		for _, l := range service.Lockouts {
			i := slices.IndexFunc(logons, func(other rest.Lockout) bool {
				return other.Origin == l.Origin && other.Client == l.Client && other.User == l.User
			})
			if i < 0 {
				logons = append(logons, l)
				continue
			}
			names := slices.Concat(logons[i].Connectors, l.Connectors)
			slices.Sort(names)
			logons[i].Connectors = slices.Compact(names)
		}
	}
	return logons
}

func (pr *pageRequest) origins() (any, error) { return pr.services() }

func (pr *pageRequest) services() (servicesPage, error) {
	var list rest.Origins
	_, err := pr.getOfGroup("GET /culvert/origins", url.Values{}, &list)
	return servicesPage{Services: list.Origins, Silent: list.Silent}, err
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

func (pr *pageRequest) log() (any, error) {
	page := logPage{Level: pr.query.Get("level"), Logger: pr.query.Get("logger"), Connector: pr.query.Get("connector"),
		Worker: pr.query.Get("worker"), Text: pr.query.Get("text")}
	var err error
	if page.Head, err = pr.head(page.Connector, "log"); isRefused(err, 404) {
		err = nil // a deleted connector still has lines
	}
	limit := ""
	if page.Text != "" {
		limit = "1000" // the lines to search
	}
	filter := pairs("level", page.Level, "logger", page.Logger, "connector", page.Connector, "worker", page.Worker,
		"limit", limit)
	err = cmp.Or(err, pr.get("GET /culvert/log?"+filter.Encode(), &page.LogPage))
	slices.Reverse(page.Lines)
	page.Lines = slices.DeleteFunc(page.Lines, func(line rest.LogLine) bool {
		return !strings.Contains(strings.ToLower(line.Text), strings.ToLower(page.Text))
	})
	if !pr.isScript { // the form is in no fragment
		page.readChoices(pr)
	}
	return page, err
}

func (l *logPage) readChoices(pr *pageRequest) {
	for _, c := range pr.connectors() {
		l.Connectors = append(l.Connectors, c.Name)
	}
	var workers []rest.WorkerInfo
	_ = pr.get("GET /culvert/workers", &workers) // after a failure, the chosen worker is the only choice
	for _, w := range currentWorkers(workers) {
		l.Workers = append(l.Workers, w.Worker)
	}
	l.Connectors = sortedWith(l.Connectors, l.Connector)
	l.Workers = sortedWith(l.Workers, l.Worker)
}

func sortedWith(names []string, name string) []string {
	if name != "" {
		names = append(names, name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}
