package console

import (
	"net/url"
	"slices"

	"github.com/culvert-project/culvert/internal/cluster/groupview"
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
	Group   *groupview.Group // nil without a group or a leader
}

func (pr *pageRequest) workers() (any, error) {
	var page workersPage
	err := pr.get("GET /culvert/workers", &page.Workers)
	var group groupview.Group
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
