package console

import (
	"net/url"
	"slices"

	"github.com/culvert-project/culvert/host/rest"
)

// pluginsPage are the versions of plugins, of this worker and of its group.
type pluginsPage struct {
	Modules []rest.Module
	// Group is nil where the worker is alone, or no worker leads.
	Group *rest.Group
}

func (v *visit) plugins() (any, error) {
	var p pluginsPage
	if err := v.get("GET /culvert/plugins", &p.Modules); err != nil {
		return nil, err
	}
	var g rest.Group
	if err := v.get("GET /culvert/cluster", &g); err == nil {
		p.Group = &g
	}
	return p, nil
}

func (v *visit) origins() (any, error) {
	var o rest.Origins
	err := v.get("GET /culvert/origins", &o)
	if isRefused(err, 409) {
		err = v.get("GET /culvert/origins?own=true", &o)
	}
	return o, err
}

// logPage is the log with what it is filtered by, the newest line first.
type logPage struct {
	Level, Logger, Connector, Worker string
	rest.LogPage
}

// Levels are those from which lines can be shown.
func (logPage) Levels() []string { return []string{"INFO", "WARN", "ERROR", "DEBUG", "TRACE"} }

// Newest are the lines, the last one first.
func (l logPage) Newest() []rest.LogLine {
	lines := slices.Clone(l.Lines)
	slices.Reverse(lines)
	return lines
}

func (v *visit) log() (any, error) {
	l := logPage{Level: v.query.Get("level"), Logger: v.query.Get("logger"), Connector: v.query.Get("connector"),
		Worker: v.query.Get("worker")}
	q := url.Values{"limit": {"200"}}
	for key, value := range map[string]string{"level": l.Level, "logger": l.Logger, "connector": l.Connector,
		"worker": l.Worker} {
		if value != "" {
			q.Set(key, value)
		}
	}
	return l, v.get("GET /culvert/log?"+q.Encode(), &l.LogPage)
}
